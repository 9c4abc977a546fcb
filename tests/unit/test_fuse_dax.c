// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * FUSE with a DAX window: what is asked of the file system, what runs beside its queue, and which
 * replies are kept until the window follows.
 */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "fs/null.h"
#include "fuse/pool.h"
#include "fuse_client.h"

#define ROOM   4096
#define HANDLE 1 /* the only one that fs/null.c knows */
#define FILE_NODE 2

/* The answer that came later. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool full; /* the queue takes none */
	bool finished, last;
	struct fuse_out_header out;
	char payload[FUSE_DEFERRED_REPLY];
} later = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void *defer(void *opaque, unsigned int queue, const struct virtq_chain *chain,
	const void *reply, uint32_t len)
{
	return later.full ? NULL : &later;
}

static bool finish(void *deferred, const void *reply, uint32_t len)
{
	pthread_mutex_lock(&later.lock);
	memcpy(&later.out, reply, sizeof(later.out));
	assert_int_equal(later.out.len, len);
	memcpy(later.payload, (const char *)reply + sizeof(later.out), len - sizeof(later.out));
	later.finished = true;
	pthread_cond_signal(&later.changed);
	pthread_mutex_unlock(&later.lock);
	return true;
}

static void finish_last(void *deferred, const void *reply, uint32_t len)
{
	later.last = true;
	finish(deferred, reply, len);
}

static const struct fuse_deferral deferral = {
	.defer = defer, .finish = finish, .finish_last = finish_last};

/* The answer to what was deferred: its error, or how long its payload is. */
static int answer(void)
{
	pthread_mutex_lock(&later.lock);
	while (!later.finished)
		pthread_cond_wait(&later.changed, &later.lock);
	later.finished = false;
	pthread_mutex_unlock(&later.lock);
	return later.out.error ? later.out.error : (int)(later.out.len - sizeof(later.out));
}

/* A file system that writes down how its window was used, and on which thread. */
static struct {
	char calls[500];
	pthread_t ring;
	int result;
	bool late, unsettled, dax, may_wait;
} did;

static void note(const char *format, ...)
{
	size_t used = strlen(did.calls);
	va_list ap;

	va_start(ap, format);
	vsnprintf(did.calls + used, sizeof(did.calls) - used, format, ap);
	va_end(ap);
	used = strlen(did.calls);
	snprintf(did.calls + used, sizeof(did.calls) - used, "%s;",
		pthread_equal(pthread_self(), did.ring) ? " on the ring" : "");
}

/* What was called since this was last asked. */
static const char *calls(void)
{
	static char text[sizeof(did.calls)];

	strcpy(text, did.calls);
	did.calls[0] = '\0';
	return text;
}

static int setup_mapping(struct fs *fs, uint64_t node, const struct fs_mapping *m)
{
	note("map %llu at %llx from %llx of %llx%s", (unsigned long long)node,
		(unsigned long long)m->at, (unsigned long long)m->offset,
		(unsigned long long)m->len, m->write ? " to write" : "");
	return did.result;
}

static int remove_mapping(struct fs *fs, uint64_t at, uint64_t len)
{
	note("unmap at %llx of %llx", (unsigned long long)at, (unsigned long long)len);
	return at == 0x5000 ? -EINVAL : did.result;
}

static bool opens_late(struct fs *fs, uint64_t node)
{
	return did.late && node == FILE_NODE;
}

static bool is_unsettled(struct fs *fs, uint64_t node)
{
	return did.unsettled && node == FILE_NODE;
}

static void settle(struct fs *fs, uint64_t node)
{
	note("settle %llu", (unsigned long long)node);
	did.unsettled = false;
}

static void unmap_all(struct fs *fs)
{
	note("unmap all");
}

static int dax_open(struct fs *fs, uint64_t node, int flags, bool kill_priv, uint64_t *handle,
	struct fs_opened *opened)
{
	note("open");
	did.may_wait = opened->may_wait;
	*handle = HANDLE;
	return 0;
}

static int dax_getattr(struct fs *fs, const struct fs_target *t, struct statx *attr)
{
	*attr = (struct statx){.stx_mode = S_IFREG | 0644, .stx_size = 8192,
		.stx_attributes = did.dax ? STATX_ATTR_DAX : 0};
	return 0;
}

static int dax_setattr(struct fs *fs, const struct fs_target *t, const struct fs_setattr *set,
	struct statx *attr)
{
	note("setattr");
	return dax_getattr(fs, t, attr);
}

static int dax_lookup(struct fs *fs, uint64_t parent, const char *name, struct fs_entry *entry)
{
	*entry = (struct fs_entry){.node = FILE_NODE};
	return dax_getattr(fs, NULL, &entry->attr);
}

static struct fs_ops ops;
static struct fs fs = {.ops = &ops};
static struct fuse_client c;

static void open_client(bool dax, bool readonly)
{
	struct fuse_config config = fc_config("auto");

	log_open("test", LOG_OFF);
	config.dax = dax;
	config.readonly = readonly;
	ops = *fs_null()->ops;
	ops.setup_mapping = setup_mapping;
	ops.remove_mapping = remove_mapping;
	ops.opens_late = opens_late;
	ops.is_unsettled = is_unsettled;
	ops.settle = settle;
	ops.unmap_all = unmap_all;
	ops.open = dax_open;
	ops.getattr = dax_getattr;
	ops.setattr = dax_setattr;
	ops.lookup = dax_lookup;
	memset(&did, 0, sizeof(did));
	did.ring = pthread_self();
	later.full = later.finished = false;
	fc_open(&c, &fs, &config);
	fc_init(&c);
	fuse_session_defer(&c.se, &deferral);
	assert_int_equal(fuse_pool_start(&c.se, 2), 0);
	c.in.nodeid = FILE_NODE;
}

static int setup(void **state)
{
	open_client(true, false);
	return 0;
}

static int teardown(void **state)
{
	fuse_pool_stop(&c.se);
	fc_close(&c);
	return 0;
}

static int map(uint64_t flags)
{
	const struct fuse_setupmapping_in in = {
		.fh = UINT64_MAX, .foffset = 0x1000, .len = 0x2000, .flags = flags,
		.moffset = 0x3000};

	return fc_send(&c, FUSE_SETUPMAPPING, &in, sizeof(in), ROOM);
}

static void test_setup(void **state)
{
	assert_int_equal(map(FUSE_SETUPMAPPING_FLAG_READ), FC_DEFERRED);
	assert_int_equal(answer(), 0);
	assert_string_equal(calls(), "map 2 at 3000 from 1000 of 2000;");
	did.result = -ENOSPC;
	assert_int_equal(map(FUSE_SETUPMAPPING_FLAG_WRITE | FUSE_SETUPMAPPING_FLAG_READ),
		FC_DEFERRED);
	assert_int_equal(answer(), -ENOSPC);
	assert_string_equal(calls(), "map 2 at 3000 from 1000 of 2000 to write;");
	assert_int_equal(map(0), FC_DEFERRED);
	assert_int_equal(answer(), -EINVAL);
	assert_int_equal(map(7), FC_DEFERRED);
	assert_int_equal(answer(), -EINVAL);
	assert_string_equal(calls(), "");
}

struct removal {
	struct fuse_removemapping_in in;
	struct fuse_removemapping_one one[300];
} __attribute__((packed));

static int unmap(struct removal *r, uint32_t count, size_t n)
{
	r->in.count = count;
	return fc_send(&c, FUSE_REMOVEMAPPING, r, sizeof(r->in) + n * sizeof(r->one[0]), ROOM);
}

static void test_remove(void **state)
{
	static struct removal r;

	/* Few go with the job, many need memory of their own. */
	r.one[0] = (struct fuse_removemapping_one){0x3000, 0x1000};
	r.one[1] = (struct fuse_removemapping_one){0x5000, 0x1000};
	r.one[2] = (struct fuse_removemapping_one){0x7000, 0x2000};
	assert_int_equal(unmap(&r, 1, 1), FC_DEFERRED);
	assert_int_equal(answer(), 0);
	assert_string_equal(calls(), "unmap at 3000 of 1000;");
	/* One that is wrong does not save the others. */
	assert_int_equal(unmap(&r, 3, 3), FC_DEFERRED);
	assert_int_equal(answer(), -EINVAL);
	assert_string_equal(calls(),
		"unmap at 3000 of 1000;unmap at 5000 of 1000;unmap at 7000 of 2000;");
	assert_int_equal(unmap(&r, 300, 300), FC_DEFERRED);
	assert_int_equal(answer(), -EINVAL);
	calls();
	assert_int_equal(unmap(&r, 0, 0), FC_DEFERRED);
	assert_int_equal(answer(), -EINVAL);
	assert_int_equal(unmap(&r, 3, 2), FC_DEFERRED);
	assert_int_equal(answer(), -EINVAL);
	assert_int_equal(unmap(&r, UINT32_MAX, 2), FC_DEFERRED);
	assert_int_equal(answer(), -EINVAL);
	assert_string_equal(calls(), "");
}

/* A ring's thread never waits for the front-end, whatever else is not to be had. */
static void test_never_on_ring(void **state)
{
	struct fuse_open_in open_in = {.flags = O_RDONLY};

	later.full = true;
	assert_int_equal(map(FUSE_SETUPMAPPING_FLAG_READ), -EAGAIN);
	did.late = true;
	assert_int_equal(fc_send(&c, FUSE_OPEN, &open_in, sizeof(open_in), ROOM), -EAGAIN);
	assert_string_equal(calls(), "");
}

static void test_open(void **state)
{
	struct fuse_open_in in = {.flags = O_RDONLY};

	assert_int_equal(fc_send(&c, FUSE_OPEN, &in, sizeof(in), ROOM),
		sizeof(struct fuse_open_out));
	assert_string_equal(calls(), "open on the ring;");
	assert_false(did.may_wait);
	did.late = true;
	assert_int_equal(fc_send(&c, FUSE_OPEN, &in, sizeof(in), ROOM), FC_DEFERRED);
	assert_int_equal(answer(), sizeof(struct fuse_open_out));
	assert_string_equal(calls(), "open;");
	assert_true(did.may_wait);
}

static void test_setattr(void **state)
{
	struct fuse_setattr_in in = {.valid = FATTR_MODE, .mode = 0600};

	assert_int_equal(fc_send(&c, FUSE_SETATTR, &in, sizeof(in), ROOM),
		sizeof(struct fuse_attr_out));
	assert_string_equal(calls(), "setattr on the ring;");
	in.valid = FATTR_SIZE;
	assert_int_equal(fc_send(&c, FUSE_SETATTR, &in, sizeof(in), ROOM), FC_DEFERRED);
	assert_int_equal(answer(), sizeof(struct fuse_attr_out));
	assert_string_equal(calls(), "setattr;");
}

/* A size is told when the window follows it, and not before. */
static void test_sizes(void **state)
{
	struct fuse_getattr_in getattr_in = {0};
	struct {
		struct fuse_write_in in;
		char data[100];
	} write_in = {.in = {.fh = HANDLE, .size = 100}};
	struct fuse_write_out *written = (struct fuse_write_out *)later.payload;
	struct fuse_entry_out *entry = (struct fuse_entry_out *)later.payload;

	assert_int_equal(fc_send(&c, FUSE_GETATTR, &getattr_in, sizeof(getattr_in), ROOM),
		sizeof(struct fuse_attr_out));
	did.unsettled = true;
	assert_int_equal(fc_send(&c, FUSE_GETATTR, &getattr_in, sizeof(getattr_in), ROOM),
		FC_DEFERRED);
	assert_int_equal(answer(), sizeof(struct fuse_attr_out));
	assert_int_equal(((struct fuse_attr_out *)later.payload)->attr.size, 8192);
	assert_string_equal(calls(), "settle 2;");
	did.unsettled = true;
	assert_int_equal(fc_send(&c, FUSE_WRITE, &write_in, sizeof(write_in), ROOM), FC_DEFERRED);
	assert_int_equal(answer(), sizeof(*written));
	assert_int_equal(written->size, 100);
	assert_string_equal(calls(), "settle 2;");
	did.unsettled = true;
	c.in.nodeid = FS_ROOT;
	assert_int_equal(fc_send(&c, FUSE_LOOKUP, "f", 2, ROOM), FC_DEFERRED);
	assert_int_equal(answer(), sizeof(*entry));
	assert_int_equal(entry->nodeid, FILE_NODE);
	assert_string_equal(calls(), "settle 2;");
	/* Beside its queue it is followed there. */
	struct fuse_setattr_in set = {.valid = FATTR_SIZE};
	c.in.nodeid = FILE_NODE;
	did.unsettled = true;
	assert_int_equal(fc_send(&c, FUSE_SETATTR, &set, sizeof(set), ROOM), FC_DEFERRED);
	assert_int_equal(answer(), sizeof(struct fuse_attr_out));
	assert_string_equal(calls(), "setattr;settle 2;");
	/* What failed told nothing. */
	did.unsettled = true;
	assert_int_equal(fc_send(&c, FUSE_WRITE, &write_in, sizeof(write_in.in), ROOM), -EINVAL);
}

static void test_attributes(void **state)
{
	struct fuse_getattr_in in = {0};
	struct fuse_attr_out *out = (struct fuse_attr_out *)c.payload;

	for (int dax = 0; dax < 2; dax++) {
		did.dax = dax;
		assert_int_equal(fc_send(&c, FUSE_GETATTR, &in, sizeof(in), ROOM), sizeof(*out));
		assert_int_equal(out->attr.flags, dax ? FUSE_ATTR_DAX : 0);
	}
	assert_true(c.se.flags & FUSE_MAP_ALIGNMENT);
	assert_true(c.se.flags & FUSE_HAS_INODE_DAX);
	/* Nobody tells us of a write by which set-id bits would go. */
	assert_false(c.se.flags & FUSE_HANDLE_KILLPRIV_V2);
}

/* The end of a session is told last, and when nothing is mapped any more. */
static void test_destroy(void **state)
{
	assert_int_equal(fc_send(&c, FUSE_DESTROY, NULL, 0, ROOM), FC_DEFERRED);
	assert_int_equal(answer(), 0);
	assert_true(later.last);
	assert_string_equal(calls(), "unmap all;");
}

/* Without a window nothing of this is there. */
static void test_without(void **state)
{
	struct fuse_getattr_in in = {0};
	struct fuse_attr_out *out = (struct fuse_attr_out *)c.payload;

	teardown(state);
	open_client(false, false);
	assert_false(c.se.flags & (FUSE_MAP_ALIGNMENT | FUSE_HAS_INODE_DAX));
	did.dax = did.unsettled = did.late = true;
	assert_int_equal(fc_send(&c, FUSE_GETATTR, &in, sizeof(in), ROOM), sizeof(*out));
	assert_int_equal(out->attr.flags, 0);
	assert_int_equal(map(FUSE_SETUPMAPPING_FLAG_READ), FC_DEFERRED);
	assert_int_equal(answer(), -ENOSYS);
	assert_string_equal(calls(), "");
}

static void test_readonly(void **state)
{
	teardown(state);
	open_client(true, true);
	assert_int_equal(map(FUSE_SETUPMAPPING_FLAG_WRITE), FC_DEFERRED);
	assert_int_equal(answer(), -EROFS);
	assert_int_equal(map(FUSE_SETUPMAPPING_FLAG_READ), FC_DEFERRED);
	assert_int_equal(answer(), 0);
	assert_string_equal(calls(), "map 2 at 3000 from 1000 of 2000;");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_setup, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove, setup, teardown),
		cmocka_unit_test_setup_teardown(test_never_on_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(test_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_setattr, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_attributes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_destroy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without, setup, teardown),
		cmocka_unit_test_setup_teardown(test_readonly, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * FUSE with a version table: agreement, where words stand in replies and what they say, which
 * requests are inside the table, also beside their queue and where replies are held.
 */
#include "unit.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <string.h>

#include "base/log.h"
#include "coherence/request.h"
#include "coherence/words.h"
#include "fs/null.h"
#include "fuse/pool.h"
#include "fuse/version.h"
#include "fuse_client.h"
#include "proto/causeway_wire.h"

#define ROOM      4096
#define SLOTS     64
#define FILE_NODE 2
#define HANDLE    1 /* the only one that fs/null.c knows */

/* What the file system does with the request that it is called for. */
static struct {
	_Atomic unsigned int calls, outside; /* of the latter without a request */
	int result;
} did;

static void enter(unsigned int look, unsigned int mark)
{
	struct vtable_request *v = vtable_request_now();

	did.calls++;
	did.outside += !v;
	for (unsigned int left = look; v && left; left &= left - 1) {
		unsigned int bit = left & -left;

		vtable_request_look(v, (struct vtable_operand){bit, bit % SLOTS, 0});
	}
	for (unsigned int left = mark; v && left; left &= left - 1) {
		unsigned int bit = left & -left;

		vtable_request_mark(v, &(struct vtable_operand){bit, bit % SLOTS, 0}, 1);
	}
}

static int my_getattr(struct fs *fs, const struct fs_target *t, struct statx *attr)
{
	enter(VT_NODE_ATTR, 0);
	*attr = (struct statx){.stx_mode = S_IFREG | 0644, .stx_ino = 77};
	return did.result;
}

static int my_setattr(struct fs *fs, const struct fs_target *t, const struct fs_setattr *set,
	struct statx *attr)
{
	enter(0, VT_NODE_ATTR | (set->set & FS_SET_SIZE ? VT_NODE_DATA : 0));
	*attr = (struct statx){.stx_mode = S_IFREG | 0644, .stx_ino = 78};
	return did.result;
}

static int my_unlink(struct fs *fs, uint64_t parent, const char *name)
{
	enter(0, VT_MAKES);
	return did.result;
}

static int my_open(struct fs *fs, uint64_t node, int flags, bool kill_priv, uint64_t *handle,
	struct fs_opened *opened)
{
	enter(0, flags & O_TRUNC ? VT_FILE : 0);
	*handle = HANDLE;
	return did.result;
}

static int my_release(struct fs *fs, uint64_t handle)
{
	enter(0, 0);
	return 0;
}

static int my_fsync(struct fs *fs, const struct fs_target *t, bool data_only)
{
	enter(0, VT_NODE_DATA);
	return did.result;
}

static ssize_t my_read(struct fs *fs, const struct fs_target *t, const struct iovec *iov, int n,
	uint64_t offset, bool at_once)
{
	enter(VT_NODE_DATA, 0);
	memset(iov->iov_base, 'r', iov->iov_len);
	return (ssize_t)iov->iov_len;
}

static bool is_unsettled(struct fs *fs, uint64_t node)
{
	return true;
}

static void settle(struct fs *fs, uint64_t node)
{
}

static void unmap_all(struct fs *fs)
{
}

/* The answer that came later. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool finished;
	uint32_t len;
	char reply[FUSE_DEFERRED_REPLY];
} later = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void *defer(void *opaque, unsigned int queue, const struct virtq_chain *chain,
	const void *reply, uint32_t len)
{
	return &later;
}

static bool finish(void *deferred, const void *reply, uint32_t len)
{
	pthread_mutex_lock(&later.lock);
	memcpy(later.reply, reply, len);
	later.len = len;
	later.finished = true;
	pthread_cond_signal(&later.changed);
	pthread_mutex_unlock(&later.lock);
	return true;
}

static void finish_last(void *deferred, const void *reply, uint32_t len)
{
	finish(deferred, reply, len);
}

/* How long its payload is, words included. */
static size_t wait_answer(void)
{
	pthread_mutex_lock(&later.lock);
	while (!later.finished)
		pthread_cond_wait(&later.changed, &later.lock);
	later.finished = false;
	pthread_mutex_unlock(&later.lock);
	return later.len - sizeof(struct fuse_out_header);
}

static const struct fuse_deferral deferral = {
	.defer = defer, .finish = finish, .finish_last = finish_last};

static struct fs_ops ops;
static struct fs fs = {.ops = &ops};
static struct fuse_client c;
static struct vtable *table;

static void open_client(const struct fuse_config *config)
{
	ops = *fs_null()->ops;
	ops.getattr = my_getattr;
	ops.setattr = my_setattr;
	ops.unlink = my_unlink;
	ops.open = my_open;
	ops.release = my_release;
	ops.fsync = my_fsync;
	ops.read = my_read;
	ops.is_unsettled = is_unsettled;
	ops.settle = settle;
	ops.unmap_all = unmap_all;
	did.calls = did.outside = 0;
	did.result = 0;
	assert_int_equal(vtable_make(&table, SLOTS), 0);
	fc_open(&c, &fs, config);
	fuse_session_version(&c.se, table);
	fc_init(&c);
	c.in.nodeid = FILE_NODE;
}

static int set_up(void **state)
{
	struct fuse_config config = fc_config("auto");

	open_client(&config);
	return 0;
}

static int tear_down(void **state)
{
	fuse_pool_stop(&c.se);
	fc_close(&c);
	vtable_close(table);
	return 0;
}

static int hello(uint32_t wire, uint32_t flags)
{
	struct vt_hello_in in = {.wire = wire, .flags = flags};

	memcpy(in.id, table->id, sizeof(in.id));
	return fc_send(&c, VT_HELLO, &in, sizeof(in), ROOM);
}

static void agree(void)
{
	assert_int_equal(hello(VT_WIRE, VT_HELLO_BEGIN), sizeof(struct vt_hello_out));
}

static const struct fuse_getattr_in getattr_in;

static int getattr(void)
{
	return fc_send(&c, FUSE_GETATTR, &getattr_in, sizeof(getattr_in), ROOM);
}

static struct vt_look look_at(const char *words, unsigned int i)
{
	struct vt_look look;

	memcpy(&look, words + sizeof(struct vt_reply) + i * sizeof(look), sizeof(look));
	return look;
}

static struct vt_move move_at(const char *words, unsigned int looks, unsigned int i)
{
	struct vt_move move;

	memcpy(&move, words + vt_words_size(0, 1) - sizeof(move) + looks * sizeof(struct vt_look) +
			i * sizeof(move), sizeof(move));
	return move;
}

static void test_hello(void **state)
{
	struct vt_hello_in in = {.wire = VT_WIRE, .flags = VT_HELLO_BEGIN};
	struct vt_hello_out out;

	assert_int_equal(hello(VT_WIRE + 5, 0), sizeof(out));
	memcpy(&out, c.payload, sizeof(out));
	assert_int_equal(out.wire, VT_WIRE);
	assert_int_equal(out.layout, VT_LAYOUT);
	assert_int_equal(out.slots, SLOTS);
	assert_memory_equal(out.id, table->id, sizeof(out.id));
	assert_int_equal(getattr(), sizeof(struct fuse_attr_out));
	assert_int_equal(hello(0, 0), -EINVAL);
	assert_int_equal(hello(VT_WIRE, 2), -EINVAL);
	memcpy(in.id, table->id, sizeof(in.id));
	in.id[15] ^= 1;
	assert_int_equal(fc_send(&c, VT_HELLO, &in, sizeof(in), ROOM), -ESTALE);
	assert_int_equal(getattr(), sizeof(struct fuse_attr_out));
	agree();
	/* Whoever has agreed, has agreed. */
	assert_int_equal(fc_send(&c, VT_HELLO, &in, sizeof(in), ROOM), -ESTALE);
	assert_true(getattr() > (int)sizeof(struct fuse_attr_out));
	fuse_session_version(&c.se, NULL);
	assert_int_equal(hello(VT_WIRE, 0), -ENOSYS);
	assert_int_equal(fc_send(&c, CW_SLEEP + 1, "", 0, ROOM), -ENOSYS);
	assert_int_equal(fc_send(&c, UINT32_MAX, "", 0, ROOM), -ENOSYS);
}

/* Requests that only look are not inside the table for a guest that reads no words. */
static void test_who_is_inside(void **state)
{
	getattr();
	assert_int_equal(did.outside, 1);
	fc_send(&c, FUSE_UNLINK, "name", 5, ROOM);
	assert_int_equal(did.outside, 1);
	agree();
	getattr();
	assert_int_equal(did.outside, 1);
	assert_int_equal(did.calls, 3);
	assert_null(vtable_request_now());
	fuse_session_version(&c.se, NULL);
	fuse_session_reset(&c.se);
	fc_init(&c);
	fc_send(&c, FUSE_UNLINK, "name", 5, ROOM);
	assert_int_equal(did.outside, 2);
}

static void test_words_of_a_look(void **state)
{
	unsigned int words = vt_words_size(VT_NODE_ATTR, 0);
	struct fuse_attr_out attr;
	struct vt_reply head;
	struct vt_look look;

	agree();
	atomic_store(words_slot(table, VT_NODE_ATTR % SLOTS), 9ull << VT_IN_FLIGHT_BITS);
	assert_int_equal(getattr(), words + sizeof(attr));
	memcpy(&head, c.payload, sizeof(head));
	assert_int_equal(head.epoch, atomic_load(words_head(table, epoch)));
	assert_int_equal(head.zero, 0);
	look = look_at(c.payload, 0);
	assert_int_equal(look.word, 9ull << VT_IN_FLIGHT_BITS);
	assert_int_equal(look.slot, VT_NODE_ATTR % SLOTS);
	assert_int_equal(look.flags, VT_KEEP);
	memcpy(&attr, c.payload + words, sizeof(attr));
	assert_int_equal(attr.attr.ino, 77);
	/* While somebody changes it. */
	atomic_fetch_add(words_slot(table, VT_NODE_ATTR % SLOTS), VT_BEGIN);
	getattr();
	assert_int_equal(look_at(c.payload, 0).flags, 0);
	/* A poisoned table is good for nothing; the words are there all the same. */
	atomic_fetch_add(words_slot(table, VT_NODE_ATTR % SLOTS), VT_END);
	vtable_poison(table);
	assert_int_equal(getattr(), words + sizeof(attr));
	assert_int_equal(look_at(c.payload, 0).flags, 0);
}

static void test_words_of_a_change(void **state)
{
	struct fuse_setattr_in in = {.valid = FATTR_MODE};
	unsigned int words = vt_words_size(VT_NODE_ATTR, VT_FILE);
	struct vt_move move;

	agree();
	assert_int_equal(fc_send(&c, FUSE_SETATTR, &in, sizeof(in), ROOM),
		words + sizeof(struct fuse_attr_out));
	move = move_at(c.payload, 1, 0);
	assert_int_equal(move.slot, VT_NODE_ATTR % SLOTS);
	assert_int_equal(move.flags, VT_ALONE);
	assert_int_equal(move.after, move.before + VT_BEGIN + VT_END);
	assert_int_equal(atomic_load(words_slot(table, move.slot)), move.after);
	/* What it did not change has words that say nothing. */
	move = move_at(c.payload, 1, 1);
	assert_int_equal(move.slot | move.flags | move.before | move.after, 0);
	in.valid = FATTR_SIZE;
	fc_send(&c, FUSE_SETATTR, &in, sizeof(in), ROOM);
	assert_int_equal(move_at(c.payload, 1, 1).flags, VT_ALONE);
	/* An error has none; the marks are off all the same. */
	did.result = -EPERM;
	assert_int_equal(fc_send(&c, FUSE_SETATTR, &in, sizeof(in), ROOM), -EPERM);
	assert_true(vt_is_quiet(atomic_load(words_slot(table, move.slot))));
}

/* Without room for all of its reply, nothing is begun. */
static void test_room(void **state)
{
	size_t head = sizeof(struct fuse_out_header), unlink = vt_words_size(0, VT_MAKES);
	size_t attr = vt_words_size(VT_NODE_ATTR, 0) + sizeof(struct fuse_attr_out);

	agree();
	for (size_t room = head; room < head + unlink; room++)
		assert_int_equal(fc_send(&c, FUSE_UNLINK, "name", 5, room), -EINVAL);
	for (size_t room = head; room < head + attr; room++)
		assert_int_equal(fc_send(&c, FUSE_GETATTR, &getattr_in, sizeof(getattr_in), room),
			-EINVAL);
	assert_int_equal(did.calls, 0);
	assert_int_equal(fc_send(&c, FUSE_UNLINK, "name", 5, head + unlink), unlink);
	assert_int_equal(fc_send(&c, FUSE_GETATTR, &getattr_in, sizeof(getattr_in), head + attr),
		attr);
	c.in.opcode = FUSE_GETATTR;
	c.in.len = sizeof(c.in) + sizeof(getattr_in);
	assert_int_equal(fc_send_raw(&c, &getattr_in, sizeof(getattr_in), head + attr), attr);
	assert_int_equal(look_at(c.payload, 0).slot, VT_NODE_ATTR % SLOTS);
}

static void test_read(void **state)
{
	struct fuse_read_in in = {.fh = HANDLE, .size = 100};
	unsigned int words = vt_words_size(VT_NODE_DATA, 0);

	agree();
	assert_int_equal(fc_send(&c, FUSE_READ, &in, sizeof(in), ROOM), words + 100);
	assert_int_equal(look_at(c.payload, 0).slot, VT_NODE_DATA % SLOTS);
	for (unsigned int i = 0; i < 100; i++)
		assert_int_equal(c.payload[words + i], 'r');
}

static void test_end(void **state)
{
	struct fuse_config config = fc_config("auto");

	agree();
	fc_init(&c);
	c.in.nodeid = FILE_NODE;
	assert_int_equal(getattr(), sizeof(struct fuse_attr_out));
	agree();
	fuse_session_reset(&c.se);
	fc_init(&c);
	assert_int_equal(getattr(), sizeof(struct fuse_attr_out));
	/* Who holds back writes. */
	tear_down(NULL);
	config.cache = cache_policy_find("always");
	config.writeback = true;
	open_client(&config);
	assert_int_equal(hello(VT_WIRE, 0), sizeof(struct vt_hello_out));
	assert_int_equal(hello(VT_WIRE, VT_HELLO_BEGIN), -EBUSY);
	assert_int_equal(getattr(), sizeof(struct fuse_attr_out));
}

/* Nothing is changed that cannot be marked; what has to end, ends. */
static void test_lost(void **state)
{
	struct fuse_open_in open = {.flags = O_RDWR};
	struct fuse_setattr_in set = {.valid = FATTR_MODE};
	struct fuse_ioctl_in ioctl = {.fh = HANDLE, .cmd = FS_IOC_SETFLAGS, .in_size = 4};
	struct fuse_release_in release = {.fh = HANDLE};
	struct fuse_fsync_in fsync = {.fh = HANDLE};

	agree();
	table->lost = true;
	assert_int_equal(fc_send(&c, FUSE_UNLINK, "name", 5, ROOM), -EIO);
	assert_int_equal(fc_send(&c, FUSE_SETATTR, &set, sizeof(set), ROOM), -EIO);
	assert_int_equal(fc_send(&c, FUSE_IOCTL, &ioctl, sizeof(ioctl), ROOM), -EIO);
	open.flags |= O_TRUNC;
	assert_int_equal(fc_send(&c, FUSE_OPEN, &open, sizeof(open), ROOM), -EIO);
	assert_int_equal(did.calls, 0);
	assert_int_equal(hello(VT_WIRE, 0), -ENOSYS);
	open.flags = O_RDWR;
	assert_true(fc_send(&c, FUSE_OPEN, &open, sizeof(open), ROOM) > 0);
	assert_true(fc_send(&c, FUSE_FSYNC, &fsync, sizeof(fsync), ROOM) >= 0);
	assert_true(fc_send(&c, FUSE_RELEASE, &release, sizeof(release), ROOM) >= 0);
	assert_true(getattr() > 0);
	assert_int_equal(did.calls, 4);
	table->lost = false;
	assert_true(fc_send(&c, FUSE_UNLINK, "name", 5, ROOM) >= 0);
}

/* A thread of the pool is inside the table, and writes the words. */
static void test_pool(void **state)
{
	struct fuse_fsync_in in = {.fh = HANDLE};
	unsigned int words = vt_words_size(0, VT_FILE);

	fuse_session_defer(&c.se, &deferral);
	assert_int_equal(fuse_pool_start(&c.se, 1), 0);
	agree();
	assert_int_equal(fc_send(&c, FUSE_FSYNC, &in, sizeof(in), ROOM), FC_DEFERRED);
	assert_int_equal(wait_answer(), words);
	assert_int_equal(did.outside, 0);
	assert_int_equal(move_at(later.reply + sizeof(struct fuse_out_header), 0, 1).flags,
		VT_ALONE);
	did.result = -EIO;
	assert_int_equal(fc_send(&c, FUSE_FSYNC, &in, sizeof(in), ROOM), FC_DEFERRED);
	assert_int_equal(wait_answer(), 0);
	/* Room is looked at before the job is taken. */
	assert_int_equal(fc_send(&c, FUSE_FSYNC, &in, sizeof(in), 16 + words - 1), -EINVAL);
}

/* A reply that is held until the window follows is the same. */
static void test_held(void **state)
{
	struct fuse_config config = fc_config("auto");
	unsigned int words = vt_words_size(VT_NODE_ATTR, 0);
	struct fuse_statx_in in = {0};

	tear_down(NULL);
	config.dax = true;
	open_client(&config);
	fuse_session_defer(&c.se, &deferral);
	assert_int_equal(fuse_pool_start(&c.se, 1), 0);
	agree();
	assert_int_equal(fc_send(&c, FUSE_STATX, &in, sizeof(in), ROOM), FC_DEFERRED);
	assert_int_equal(wait_answer(), words + sizeof(struct fuse_statx_out));
	assert_int_equal(look_at(later.reply + sizeof(struct fuse_out_header), 0).slot,
		VT_NODE_ATTR % SLOTS);
}

static void *change(void *arg)
{
	struct fuse_client *mine = arg;

	for (int i = 0; i < 2000; i++) {
		struct fuse_setattr_in in = {.valid = FATTR_MODE};

		assert_true(fc_send(mine, FUSE_SETATTR, &in, sizeof(in), ROOM) > 0);
	}
	return NULL;
}

/* The table changes under many requests, each of which is in one table from end to end. */
static void test_renewal(void **state)
{
	static struct fuse_client guests[2];
	pthread_t threads[2];

	agree();
	for (int i = 0; i < 2; i++) {
		guests[i] = c;
		guests[i].worker = fuse_worker_new(&c.se, 1);
		assert_int_equal(pthread_create(&threads[i], NULL, change, &guests[i]), 0);
	}
	for (int i = 0; i < 50; i++) {
		vtable_poison(table);
		assert_int_equal(vtable_renew(table, 30000), 0);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		fuse_worker_free(guests[i].worker);
	}
	for (unsigned int i = 0; i < SLOTS; i++)
		assert_true(vt_is_quiet(atomic_load(words_slot(table, i))));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_hello, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_who_is_inside, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_words_of_a_look, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_words_of_a_change, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_room, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lost, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pool, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_held, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_renewal, set_up, tear_down),
	};

	log_open("test", LOG_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

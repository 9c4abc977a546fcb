// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan timeout=300
/*
 * Files that are kept open for a guest, from all sides at once: threads open, keep and use the same
 * few files, make them executable and back, and forget them, as a guest with several queues may.
 *
 * Whatever the order: a request by a pin reads and writes the file of its node, or says why not;
 * no more are kept than there may be; and nothing is left open.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>

#include "base/log.h"
#include "fs/passthrough/passthrough.h"
#include "fs/passthrough/pt.h"

#define FILES   5
#define KEEPS   4 /* fewer than all files would have */
#define THREADS 4
#define TURNS   3000
#define RACES   2000
#define SPINS   30000 /* longer than open and keep take */

static struct fs *fs;
static char directory[64];
static int fds_before;

struct party {
	uint32_t random;
	pthread_t thread;
	unsigned int kept, read, written;
};

static int setup(void **state)
{
	const struct passthrough_config config = {.settle_ms = 0, .keeps = KEEPS};

	log_open("test", LOG_OFF);
	unit_enter_directory(directory);
	assert_int_equal(mkdir("export", 0755), 0);
	for (int i = 0; i < FILES; i++) {
		char path[32];
		FILE *f;

		snprintf(path, sizeof(path), "export/%d", i);
		f = fopen(path, "w");
		assert_non_null(f);
		fputc('0' + i, f);
		assert_int_equal(fclose(f), 0);
	}
	fds_before = unit_open_fds();
	assert_int_equal(passthrough_new("export", &config, &fs), 0);
	return 0;
}

static int teardown(void **state)
{
	passthrough_free(fs);
	assert_int_equal(unit_open_fds(), fds_before);
	unit_leave_directory(directory);
	return 0;
}

/* What is kept from then on until the node is forgotten, FS_KEPT_*. */
static unsigned int open_and_keep(struct party *p, uint64_t node)
{
	static const int flags[] = {O_RDONLY, O_WRONLY, O_RDWR};
	int how = flags[unit_random(&p->random) % ARRAY_SIZE(flags)];
	unsigned int have;
	uint64_t handle;

	must(fs->ops->open(fs, node, how, false, &handle, NULL) == 0);
	have = fs->ops->keep(fs, node, handle, how);
	p->kept += have != 0;
	must(fs->ops->release(fs, handle) == 0);
	/* The handle of what was kept is closed, for whoever has its number still. */
	must(fs->ops->release(fs, handle) == -EBADF);
	return have;
}

/* By the node, which must do for what the caller has kept. */
static void use(struct party *p, uint64_t node, unsigned int kept, char what)
{
	struct fs_target t = {.node = node, .kept = FS_KEPT_READ};
	char got = what;
	struct iovec iov = {&got, 1};
	ssize_t r = fs->ops->read(fs, &t, &iov, 1, 0, false);

	must(r == 1 || (r == -EBADF && !(kept & FS_KEPT_READ)));
	must(got == what);
	p->read += r == 1;
	t.kept = FS_KEPT_WRITE;
	r = fs->ops->write(fs, &t, &iov, 1, 0, 0);
	must(r == 1 || (r == -EBADF && !(kept & FS_KEPT_WRITE)));
	p->written += r == 1;
}

static void change_mode(uint64_t node, mode_t mode)
{
	const struct fs_target t = {.node = node};
	const struct fs_setattr set = {.set = FS_SET_MODE, .mode = mode};
	struct statx attr;

	must(fs->ops->setattr(fs, &t, &set, &attr) == 0);
}

/* Each turn looks its file up and forgets it: the last one that has it takes the pins along. */
static void *take_part(void *arg)
{
	struct party *p = arg;

	for (int n = 0; n < TURNS; n++) {
		uint32_t random = unit_random(&p->random);
		char name[2] = {(char)('0' + random % FILES)};
		unsigned int kept = 0;
		struct fs_entry e;

		must(fs->ops->lookup(fs, FS_ROOT, name, &e) == 0);
		if (random / FILES % 4 < 2)
			kept = open_and_keep(p, e.node);
		if (random / FILES % 8 == 3)
			change_mode(e.node, unit_random(&p->random) & 1 ? 0755 : 0644);
		for (int i = 0; i < 3; i++)
			use(p, e.node, kept, name[0]);
		/* Each other thread counts two too many while it lets a file rest. */
		must(atomic_load(&pt_of(fs)->kept) <= KEEPS + 2 * THREADS);
		fs->ops->forget(fs, e.node, 1);
	}
	return NULL;
}

/* Pins end with the nodes. */
static void test_all_at_once(void **state)
{
	struct party parties[THREADS] = {0};
	unsigned int kept = 0, read = 0, written = 0;

	for (unsigned int i = 0; i < THREADS; i++) {
		parties[i].random = i + 1;
		assert_int_equal(pthread_create(&parties[i].thread, NULL, take_part, &parties[i]),
			0);
	}
	for (unsigned int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(parties[i].thread, NULL), 0);
		kept += parties[i].kept;
		read += parties[i].read;
		written += parties[i].written;
	}
	/* All of it happened. */
	assert_true(kept > 0 && read > 0 && written > 0);
	assert_int_equal(atomic_load(&pt_of(fs)->kept), 0);
	assert_int_equal(pt_of(fs)->handles->used, 0);
}

static pthread_barrier_t barrier;
static _Atomic uint64_t in_race;

/* Makes the file executable at some time while the other thread opens it. */
static void *make_executable(void *arg)
{
	struct party *p = arg;

	for (int n = 0; n < RACES; n++) {
		pthread_barrier_wait(&barrier);
		for (uint32_t i = unit_random(&p->random) % SPINS; i > 0; i--)
			atomic_load(&in_race);
		change_mode(atomic_load(&in_race), 0755);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

static void race(struct party *p, uint64_t node)
{
	PT_NODE struct pt_node_ref ref = pt_ref(pt_of(fs), node);
	uint64_t handle;

	assert_non_null(ref.node);
	atomic_store(&in_race, node);
	pthread_barrier_wait(&barrier);
	must(fs->ops->open(fs, node, O_RDWR, false, &handle, NULL) == 0);
	p->kept += fs->ops->keep(fs, node, handle, O_RDWR) & FS_KEPT_WRITE;
	must(fs->ops->release(fs, handle) == 0);
	pthread_barrier_wait(&barrier);
	/* Nothing, or 1, which stands for what rests. */
	assert_true(atomic_load(&ref.node->kept[PT_KEPT_WRITE]) <= 1);
}

/* Whether the mode or the pin is there first: nobody has open for writing what is executable. */
static void test_executable(void **state)
{
	struct party us = {.random = 1}, other = {.random = 2};

	assert_int_equal(pthread_barrier_init(&barrier, NULL, 2), 0);
	assert_int_equal(pthread_create(&other.thread, NULL, make_executable, &other), 0);
	for (int n = 0; n < RACES; n++) {
		struct fs_entry e;

		assert_int_equal(fs->ops->lookup(fs, FS_ROOT, "0", &e), 0);
		change_mode(e.node, 0644);
		race(&us, e.node);
		fs->ops->forget(fs, e.node, 1);
	}
	assert_int_equal(pthread_join(other.thread, NULL), 0);
	pthread_barrier_destroy(&barrier);
	/* Some came before the mode. */
	assert_true(us.kept > 0);
	assert_int_equal(atomic_load(&pt_of(fs)->kept), 0);
}

static unsigned int keep_one(uint64_t node, int flags)
{
	unsigned int have;
	uint64_t handle;

	assert_int_equal(fs->ops->open(fs, node, flags, false, &handle, NULL), 0);
	have = fs->ops->keep(fs, node, handle, flags);
	assert_int_equal(fs->ops->release(fs, handle), 0);
	return have;
}

static bool is_open_for_writing(uint64_t node)
{
	PT_NODE struct pt_node_ref ref = pt_ref(pt_of(fs), node);
	bool writes = false;

	assert_non_null(ref.node);
	for (unsigned int i = 0; i < PT_KEPT; i++) {
		uint64_t id = atomic_load(&ref.node->kept[i]);
		struct idslot *slot = id > 1 ? idtab_get(pt_of(fs)->handles, id) : NULL;
		int fd = slot ? container_of(slot, struct pt_handle, slot)->fd : -1;

		writes = writes || (slot && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY);
		if (slot)
			idtab_put(pt_of(fs)->handles, slot);
	}
	return writes;
}

/* What is open for both is not kept for reading alone: it would not rest with what writes. */
static void test_both(void **state)
{
	struct fs_entry e;

	assert_int_equal(fs->ops->lookup(fs, FS_ROOT, "0", &e), 0);
	/* Linux opens by 3 what may be read and written, for neither. */
	assert_int_equal(keep_one(e.node, O_ACCMODE), 0);
	assert_int_equal(keep_one(e.node, O_WRONLY), FS_KEPT_WRITE);
	assert_int_equal(keep_one(e.node, O_RDWR), FS_KEPT_WRITE);
	assert_true(is_open_for_writing(e.node));
	change_mode(e.node, 0755);
	assert_false(is_open_for_writing(e.node));
	change_mode(e.node, 0644);
	assert_int_equal(keep_one(e.node, O_RDWR), FS_KEPT_WRITE);
	assert_int_equal(keep_one(e.node, O_RDONLY), FS_KEPT_ANY);
	assert_false(is_open_for_writing(e.node));
	fs->ops->forget(fs, e.node, 1);
	assert_int_equal(atomic_load(&pt_of(fs)->kept), 0);
}

/* An ACL sets the mode as well: here that of rwxr-xr-x. */
static void test_acl(void **state)
{
	static const uint32_t acl[] = {2, 1 | 7 << 16, ~0u, 4 | 5 << 16, ~0u, 32 | 5 << 16, ~0u};
	struct fs_xattr x = {.name = "system.posix_acl_access", .value = acl, .size = sizeof(acl)};
	struct fs_entry e;
	int r;

	assert_int_equal(fs->ops->lookup(fs, FS_ROOT, "0", &e), 0);
	assert_int_equal(keep_one(e.node, O_WRONLY), FS_KEPT_WRITE);
	x.node = e.node;
	r = fs->ops->setxattr(fs, &x);
	if (r == -EOPNOTSUPP)
		skip();
	assert_int_equal(r, 0);
	assert_false(is_open_for_writing(e.node));
	fs->ops->forget(fs, e.node, 1);
}

/* What a guest keeps when it starts over is closed. */
static void test_reset(void **state)
{
	struct fs_target t = {.kept = FS_KEPT_ANY};
	struct fs_entry e;
	uint64_t handle;

	assert_int_equal(fs->ops->lookup(fs, FS_ROOT, "0", &e), 0);
	assert_int_equal(fs->ops->open(fs, e.node, O_RDWR, false, &handle, NULL), 0);
	assert_int_equal(fs->ops->keep(fs, e.node, handle, O_RDWR), FS_KEPT_ANY);
	assert_int_equal(atomic_load(&pt_of(fs)->kept), 2);
	/* By the number of another open there is nothing to keep. */
	assert_int_equal(fs->ops->keep(fs, e.node, handle + 1, O_RDWR), 0);
	assert_int_equal(fs->ops->keep(fs, FS_ROOT, handle, O_RDWR), 0);
	fs->ops->reset(fs);
	assert_int_equal(atomic_load(&pt_of(fs)->kept), 0);
	assert_int_equal(pt_of(fs)->handles->used, 0);
	t.node = e.node;
	assert_int_equal(fs->ops->fsync(fs, &t, false), -ESTALE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_executable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_both, setup, teardown),
		cmocka_unit_test_setup_teardown(test_acl, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

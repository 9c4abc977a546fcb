// SPDX-License-Identifier: BSD-2-Clause
/* Mounts are known while they are used, however many use them at once. */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>

#include "base/log.h"
#include "fs/passthrough/passthrough.h"
#include "fs/passthrough/pt.h"

#define USERS  4
#define ROUNDS 3000
#define IDS    2 /* so few that they meet all the time */
#define OF(i)  (UINT64_MAX - (uint64_t)(i)) /* of no mount of the host */

static struct fs *fs;
static struct passthrough *pt;
static char directory[64];
static int fds_before;

static int setup(void **state)
{
	const struct passthrough_config config = {.settle_ms = 0};

	log_open("test", LOG_OFF);
	unit_enter_directory(directory);
	assert_int_equal(passthrough_new(".", &config, &fs), 0);
	pt = pt_of(fs);
	fds_before = unit_open_fds();
	return 0;
}

static int teardown(void **state)
{
	passthrough_free(fs);
	unit_leave_directory(directory);
	return 0;
}

static struct pt_mount *use(int i)
{
	return pt_mount_find(pt, OF(i), pt->root->fd);
}

static void test_known_while_used(void **state)
{
	struct pt_mount *a = use(0), *b = use(1);

	assert_ptr_not_equal(a, b);
	assert_ptr_equal(use(0), a);
	assert_int_equal(unit_open_fds(), fds_before + 2);
	pt_mount_put(pt, a);
	assert_ptr_equal(pt->mounts, b);
	pt_mount_put(pt, a);
	pt_mount_put(pt, b);
	assert_int_equal(unit_open_fds(), fds_before);
	assert_ptr_equal(pt->mounts, pt->root->mount);
	assert_null(pt->mounts->next);
}

/* Whatever a mount is known by can be synced; what is gone meanwhile does not end it. */
static void test_sync(void **state)
{
	struct pt_mount *a = use(0), *b = use(1);

	assert_int_equal(pt_mounts_sync(pt), 0);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	close_fd(&a->fd);
	close_fd(&a->path_fd);
	a->path_fd = open("fifo", O_PATH | O_CLOEXEC);
	assert_int_equal(pt_mounts_sync(pt), 0);
	close_fd(&b->fd);
	close_fd(&b->path_fd);
	b->path_fd = open(".", O_PATH | O_CLOEXEC);
	assert_int_equal(pt_mounts_sync(pt), 0);
	pt_mount_put(pt, a);
	pt_mount_put(pt, b);
	assert_int_equal(unit_open_fds(), fds_before);
}

static void *use_and_leave(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct pt_mount *mount = use(i % IDS), *again = use(i % IDS);

		/* While it is used it stays what it is. */
		if (mount != again || mount->id != OF(i % IDS) ||
			(mount->fd < 0) == (mount->path_fd < 0))
			return arg;
		pt_mount_put(pt, again);
		if (i % 1000 == 0 && pt_mounts_sync(pt) < 0)
			return arg;
		pt_mount_put(pt, mount);
	}
	return NULL;
}

static void test_users_meet(void **state)
{
	pthread_t threads[USERS];

	for (int i = 0; i < USERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use_and_leave, fs), 0);
	for (int i = 0; i < USERS; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(unit_open_fds(), fds_before);
	assert_null(pt->mounts->next);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_known_while_used),
		CASE(test_sync),
		CASE(test_users_meet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * The front-end's window with back-ends that ask for what cannot be and send what makes no sense:
 * nothing outside of the window is ever touched, and what ends the connection is told.
 */
#include "unit.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "client/fault.h"
#include "vhost/msg.h"
#include "vhost/window.h"

#define PAGE VHOST_WINDOW_PAGE
#define SIZE (256u * 1024 * 1024)

static struct vhost_window window;
static int channel, sock[2]; /* the back-end's ends */

static int set_up(void **state)
{
	vhost_window_init(&window);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sock), 0);
	assert_int_equal(vhost_window_open(&window, SIZE, sock[0], &channel), 0);
	return 0;
}

static int tear_down(void **state)
{
	vhost_window_close(&window);
	close(channel);
	close(sock[0]);
	close(sock[1]);
	return 0;
}

static struct vu_msg request(uint32_t kind, uint64_t at, uint64_t len, uint64_t offset,
	uint64_t flags, int fd)
{
	struct vu_msg msg = {
		.head = {.request = kind,
			.flags = VU_VERSION | VU_FLAG_NEED_REPLY,
			.size = sizeof(struct vu_shmem_map)},
		.fds = {fd},
		.nfds = fd >= 0,
	};

	msg.body.shmem_map = (struct vu_shmem_map){
		.shm_offset = at, .len = len, .fd_offset = offset, .flags = flags};
	return msg;
}

static uint64_t ask(struct vu_msg *msg)
{
	struct vu_msg reply;

	assert_int_equal(vu_msg_send(channel, msg), 0);
	assert_int_equal(vu_msg_recv_reply(channel, -1, &reply), 1);
	assert_int_equal(reply.head.request, msg->head.request);
	assert_int_equal(reply.head.size, 8);
	return reply.body.u64;
}

static uint64_t map(uint64_t at, uint64_t len, uint64_t offset, uint64_t flags, int fd)
{
	struct vu_msg msg = request(VU_BACKEND_SHMEM_MAP, at, len, offset, flags, fd);

	return ask(&msg);
}

static uint64_t unmap(uint64_t at, uint64_t len)
{
	struct vu_msg msg = request(VU_BACKEND_SHMEM_UNMAP, at, len, 0, 0, -1);

	return ask(&msg);
}

/* A file whose page i is full of the byte i + first. */
static int file_of(unsigned int pages, char first)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	for (unsigned int i = 0; i < pages; i++) {
		char page[PAGE];

		memset(page, (int)(first + (char)i), sizeof(page));
		assert_int_equal(write(fd, page, sizeof(page)), sizeof(page));
	}
	return fd;
}

/* Whether a byte of the window can be read, or is SIGBUS. */
static bool is_there(uint64_t at)
{
	char byte;
	bool there;

	/* Each time, as cmocka sets handlers of its own. */
	assert_int_equal(fault_begin(), 0);
	there = fault_copy(&byte, window.base + at, 1, window.base + at);
	fault_end();
	return there;
}

static void test_maps(void **state)
{
	int a = file_of(4, 'a'), b = file_of(4, 'k');

	assert_false(is_there(0));
	assert_false(is_there(SIZE - 1));
	assert_int_equal(map(2 * PAGE, 3 * PAGE, PAGE, 0, a), 0);
	assert_false(is_there(2 * PAGE - 1));
	assert_int_equal(window.base[2 * PAGE], 'b');
	assert_int_equal(window.base[5 * PAGE - 1], 'd');
	assert_false(is_there(5 * PAGE));
	/* Over it, and only over a part. */
	assert_int_equal(map(3 * PAGE, PAGE, 0, VU_SHMEM_MAP_WRITABLE, b), 0);
	assert_int_equal(window.base[3 * PAGE], 'k');
	assert_int_equal(window.base[4 * PAGE], 'd');
	assert_int_equal(unmap(3 * PAGE, 2 * PAGE), 0);
	assert_int_equal(window.base[2 * PAGE], 'b');
	assert_false(is_there(3 * PAGE));
	assert_false(is_there(4 * PAGE));
	/* What is not there may go as well. */
	assert_int_equal(unmap(0, SIZE), 0);
	assert_false(is_there(2 * PAGE));
	assert_int_equal(map(SIZE - PAGE, PAGE, 0, 0, a), 0);
	assert_int_equal(window.base[SIZE - 1], 'a');
	close(a);
	close(b);
}

/* Region 1: the descriptor is kept, and nothing mapped. */
static void test_table(void **state)
{
	struct vu_msg msg;
	struct stat st, table;
	int a = file_of(4, 'a'), b = file_of(2, 'b'), fd;

	/* There is none unless it was wanted. */
	msg = request(VU_BACKEND_SHMEM_MAP, 0, PAGE, 0, 0, a);
	msg.body.shmem_map.shmid = 1;
	assert_int_equal(ask(&msg), EINVAL);
	assert_int_equal(vhost_window_table(&window, 0), -ENOENT);
	window.table_size = 4 * PAGE;
	for (int i = 0; i < 5; i++) {
		struct vu_shmem_map *m = &msg.body.shmem_map;

		msg = request(VU_BACKEND_SHMEM_MAP, i == 0 ? PAGE : 0,
			i == 1 ? 5 * PAGE : i == 2 ? 0 : PAGE, i == 3 ? PAGE : 0,
			i == 4 ? VU_SHMEM_MAP_WRITABLE : 0, a);
		m->shmid = 1;
		assert_int_equal(ask(&msg), EINVAL);
	}
	assert_int_equal(vhost_window_table(&window, 0), -ENOENT);
	msg = request(VU_BACKEND_SHMEM_MAP, 0, 4 * PAGE, 0, 0, a);
	msg.body.shmem_map.shmid = 1;
	assert_int_equal(ask(&msg), 0);
	assert_false(is_there(0));
	/* The next one takes its place. */
	msg = request(VU_BACKEND_SHMEM_MAP, 0, 2 * PAGE, 0, 0, b);
	msg.body.shmem_map.shmid = 1;
	assert_int_equal(ask(&msg), 0);
	fd = vhost_window_table(&window, 30000);
	assert_true(fd >= 0);
	assert_int_equal(fstat(b, &st), 0);
	assert_int_equal(fstat(fd, &table), 0);
	assert_int_equal(st.st_ino, table.st_ino);
	close(fd);
	msg = request(VU_BACKEND_SHMEM_UNMAP, 0, 2 * PAGE, 0, 0, -1);
	msg.body.shmem_map.shmid = 1;
	assert_int_equal(ask(&msg), 0);
	assert_int_equal(vhost_window_table(&window, 0), -ENOENT);
	close(a);
	close(b);
}

/* Stores reach the file. */
static void test_writable(void **state)
{
	int fd = file_of(1, 'a');
	char byte;

	assert_int_equal(map(0, PAGE, 0, VU_SHMEM_MAP_WRITABLE, fd), 0);
	window.base[7] = 'X';
	assert_int_equal(pread(fd, &byte, 1, 7), 1);
	assert_int_equal(byte, 'X');
	close(fd);
}

/* Requests that are well-formed, and refused; the window stays as it is. */
static void test_refused(void **state)
{
	int fd = file_of(2, 'a'), pipes[2], readonly;
	char path[40];
	struct vu_msg msg;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	readonly = open(path, O_RDONLY);
	assert_true(readonly >= 0);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(map(PAGE, PAGE, 0, 0, fd), 0);
	assert_int_equal(map(SIZE, PAGE, 0, 0, fd), EINVAL);
	assert_int_equal(map(SIZE - PAGE, 2 * PAGE, 0, 0, fd), EINVAL);
	assert_int_equal(map(0, SIZE + PAGE, 0, 0, fd), EINVAL);
	assert_int_equal(map(PAGE, UINT64_MAX - PAGE + 1, 0, 0, fd), EINVAL);
	assert_int_equal(map(UINT64_MAX - PAGE + 1, PAGE, 0, 0, fd), EINVAL);
	assert_int_equal(map(1, PAGE, 0, 0, fd), EINVAL);
	assert_int_equal(map(0, PAGE + 1, 0, 0, fd), EINVAL);
	assert_int_equal(map(0, 0, 0, 0, fd), EINVAL);
	assert_int_equal(map(0, PAGE, 1, 0, fd), EINVAL);
	assert_int_equal(map(0, PAGE, INT64_MAX - PAGE + 1, 0, fd), EINVAL);
	assert_int_equal(map(0, PAGE, 0, 2, fd), EINVAL);
	assert_int_equal(map(0, PAGE, 0, 0, pipes[0]), EINVAL);
	assert_int_equal(map(0, PAGE, 0, VU_SHMEM_MAP_WRITABLE, readonly), EACCES);
	assert_int_equal(unmap(SIZE, PAGE), EINVAL);
	assert_int_equal(unmap(0, SIZE + PAGE), EINVAL);
	assert_int_equal(unmap(0, 0), EINVAL);
	msg = request(VU_BACKEND_SHMEM_MAP, 0, PAGE, 0, 0, fd);
	msg.body.shmem_map.shmid = 1;
	assert_int_equal(ask(&msg), EINVAL);
	msg = request(99, 0, PAGE, 0, 0, fd);
	assert_int_equal(ask(&msg), EOPNOTSUPP);
	msg = request(VU_BACKEND_SHARED_OBJECT_REMOVE, 0, 0, 0, 0, -1);
	msg.head.size = VU_UUID_SIZE;
	assert_int_equal(ask(&msg), 0);
	assert_int_equal(window.base[PAGE], 'a');
	assert_false(is_there(0));
	assert_false(is_there(2 * PAGE));
	close(fd);
	close(readonly);
	close(pipes[0]);
	close(pipes[1]);
}

/* The kernel would round the length up to a large page: over the window's end. */
static void test_large_pages(void **state)
{
	int fd = memfd_create("large", MFD_CLOEXEC | MFD_HUGETLB);

	if (fd < 0)
		skip();
	assert_int_equal(map(SIZE - 2 * 1024 * 1024, PAGE, 0, 0, fd), EINVAL);
	close(fd);
}

/* A file that has shared maps of its own refused: what was there before stays, or goes, and the
 * window is whole. */
static void test_file_refuses(void **state)
{
	int good = file_of(1, 'a');
	int other = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(other, PAGE), 0);
	assert_int_equal(fcntl(other, F_ADD_SEALS, F_SEAL_WRITE), 0);
	assert_int_equal(map(0, PAGE, 0, 0, good), 0);
	assert_true(map(0, PAGE, 0, VU_SHMEM_MAP_WRITABLE, other) != 0);
	assert_int_equal(window.base[0], 'a');
	close(good);
	close(other);
}

/* A window is cut into so many parts, and no more; the answer says so, and what is there stays. */
static void test_cuts(void **state)
{
	int fd = file_of(1, 'a');
	uint64_t r = 0, n = 0;

	/* Every other page. */
	for (; r == 0 && 2 * n * PAGE < SIZE; n++)
		r = map(2 * n * PAGE, PAGE, 0, 0, fd);
	assert_int_equal(r, ENOSPC);
	assert_int_equal(window.ncuts, VHOST_WINDOW_CUTS);
	assert_int_equal(unmap(0, SIZE), 0);
	assert_int_equal(window.ncuts, 1);
	assert_int_equal(map(0, PAGE, 0, 0, fd), 0);
	close(fd);
}

/* Each of these ends the connection, with its reason. */
static void test_nonsense(void **state)
{
	static const struct {
		uint32_t kind, size;
		unsigned int nfds;
		const char *why;
	} cases[] = {
		{VU_BACKEND_SHMEM_MAP, 40, 0, "request 9 on its channel is malformed: 40 bytes "
					      "and 0 descriptors"},
		{VU_BACKEND_SHMEM_MAP, 40, 2, "40 bytes and 2 descriptors"},
		{VU_BACKEND_SHMEM_MAP, 39, 1, "39 bytes and 1 descriptors"},
		{VU_BACKEND_SHMEM_UNMAP, 40, 1, "request 10 on its channel is malformed"},
		{VU_BACKEND_SHMEM_UNMAP, 0, 0, "0 bytes and 0 descriptors"},
		{VU_BACKEND_SHARED_OBJECT_REMOVE, 8, 0, "request 7 on its channel is malformed"},
		{1u << 20, UINT32_MAX, 0, "what is no vhost-user message"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int before = unit_open_fds(), fd;
		struct vu_msg msg;
		char why[160];
		char byte;

		set_up(NULL);
		fd = file_of(1, 'a');
		msg = request(cases[i].kind, 0, PAGE, 0, 0, fd);
		msg.fds[1] = fd;
		msg.nfds = cases[i].nfds;
		msg.head.size = cases[i].size;
		if (msg.head.size > sizeof(msg.body)) {
			assert_int_equal(write(channel, &msg.head, sizeof(msg.head)),
				sizeof(msg.head));
		} else {
			assert_int_equal(vu_msg_send(channel, &msg), 0);
		}
		/* The other end hears of it. */
		assert_int_equal(read(sock[1], &byte, 1), 0);
		assert_true(vhost_window_why(&window, why, sizeof(why)));
		assert_non_null(strstr(why, cases[i].why));
		assert_false(is_there(0));
		close(fd);
		tear_down(NULL);
		assert_int_equal(unit_open_fds(), before);
	}
}

/* One that asks and asks, and reads no answer. */
static void test_reads_nothing(void **state)
{
	struct vu_msg msg = request(VU_BACKEND_SHMEM_UNMAP, 0, PAGE, 0, 0, -1);
	char why[160], byte;

	while (send(channel, &msg, sizeof(msg.head) + msg.head.size, MSG_NOSIGNAL) > 0)
		;
	assert_int_equal(read(sock[1], &byte, 1), 0);
	assert_true(vhost_window_why(&window, why, sizeof(why)));
	assert_non_null(strstr(why, "does not read the answers"));
}

/* One that closes its end: what is mapped stays, and the connection goes on. */
static void test_closes(void **state)
{
	int fd = file_of(1, 'a');
	char why[160];

	assert_int_equal(map(0, PAGE, 0, 0, fd), 0);
	shutdown(channel, SHUT_RDWR);
	pthread_join(window.thread, NULL);
	window.serving = false;
	assert_int_equal(window.base[0], 'a');
	assert_false(vhost_window_why(&window, why, sizeof(why)));
	assert_int_equal(send(sock[0], "x", 1, MSG_NOSIGNAL), 1);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_maps, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_table, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_writable, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_large_pages, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_file_refuses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cuts, set_up, tear_down),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test_setup_teardown(test_reads_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_closes, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

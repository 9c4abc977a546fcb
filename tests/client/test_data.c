// SPDX-License-Identifier: BSD-2-Clause
/*
 * Vectors and positions through the library.
 */
#include "world.h"

#include <limits.h>
#include <pthread.h>

static void test_vectors(void **state)
{
	char a[3], b[4], tail[8] = "";
	char text[] = "hello, world";
	struct iovec out[4] = {{text, 2}, {NULL, 0}, {text + 2, 5}, {text + 7, 5}};
	struct iovec in[3] = {{a, sizeof(a)}, {b, sizeof(b)}, {tail, sizeof(tail)}};
	struct iovec large[2] = {{a, SSIZE_MAX}, {b, 1}};
	struct causeway_file *f = must_open("f", O_RDWR | O_CREAT);

	assert_int_equal(causeway_pwritev(f, out, 4, 1), 12);
	assert_int_equal(causeway_pwrite(f, "*", 1, 0), 1);
	assert_content("f", "*hello, world");
	assert_int_equal(causeway_preadv(f, in, 3, 1), 12);
	assert_memory_equal(a, "hel", 3);
	assert_memory_equal(b, "lo, ", 4);
	assert_string_equal(tail, "world");
	assert_int_equal(causeway_preadv(f, in, 0, 0), 0);
	assert_int_equal(causeway_preadv(f, in, -1, 0), -EINVAL);
	assert_int_equal(causeway_preadv(f, in, IOV_MAX + 1, 0), -EINVAL);
	assert_int_equal(causeway_preadv(f, large, 2, 0), -EINVAL);
	assert_int_equal(causeway_preadv(f, in, 3, -1), -EINVAL);
	causeway_close(f);
	f = must_open("f", O_RDONLY);
	assert_int_equal(causeway_pwritev(f, out, 4, 0), -EBADF);
	causeway_close(f);
	f = must_open(".", O_RDONLY);
	assert_int_equal(causeway_preadv(f, in, 3, 0), -EISDIR);
	causeway_close(f);
}

/* As many buffers as there may be, and more in them than one request carries. */
static void test_many_buffers(void **state)
{
	static struct iovec iov[IOV_MAX];
	size_t piece = 3001, size = piece * IOV_MAX;
	char *data = malloc(size), *back = calloc(1, size);
	struct causeway_file *f = must_open("large", O_RDWR | O_CREAT);
	uint32_t seed = 11;

	assert_true(data && back);
	for (size_t i = 0; i < size; i++)
		data[i] = (char)unit_random(&seed);
	for (size_t i = 0; i < IOV_MAX; i++)
		iov[i] = (struct iovec){data + i * piece, piece};
	assert_int_equal(causeway_pwritev(f, iov, IOV_MAX, 5), size);
	for (size_t i = 0; i < IOV_MAX; i++)
		iov[i].iov_base = back + i * piece;
	assert_int_equal(causeway_preadv(f, iov, IOV_MAX, 5), size);
	assert_memory_equal(data, back, size);
	assert_int_equal(causeway_preadv(f, iov, IOV_MAX, 6), size - 1);
	assert_memory_equal(data + 1, back, size - 1);
	causeway_close(f);
	free(data);
	free(back);
}

static void test_positions(void **state)
{
	struct causeway_file *f = must_open("f", O_RDWR | O_CREAT);
	char buf[16] = "";

	assert_int_equal(causeway_write(f, "hello, ", 7), 7);
	assert_int_equal(causeway_write(f, "world", 5), 5);
	assert_content("f", "hello, world");
	assert_int_equal(causeway_read(f, buf, sizeof(buf)), 0);
	assert_int_equal(causeway_lseek(f, 0, SEEK_CUR), 12);
	assert_int_equal(causeway_lseek(f, -5, SEEK_END), 7);
	assert_int_equal(causeway_read(f, buf, 3), 3);
	assert_int_equal(causeway_read(f, buf + 3, sizeof(buf)), 2);
	assert_string_equal(buf, "world");
	/* What has its own offset leaves the position alone. */
	assert_int_equal(causeway_lseek(f, 1, SEEK_SET), 1);
	assert_int_equal(causeway_pread(f, buf, 1, 4), 1);
	assert_int_equal(causeway_lseek(f, 2, SEEK_CUR), 3);
	assert_int_equal(causeway_lseek(f, -4, SEEK_CUR), -EINVAL);
	assert_int_equal(causeway_lseek(f, INT64_MAX, SEEK_CUR), -EOVERFLOW);
	assert_int_equal(causeway_lseek(f, 0, 77), -EINVAL);
	assert_int_equal(causeway_lseek(f, 0, SEEK_CUR), 3);
	assert_int_equal(causeway_lseek(f, 20, SEEK_SET), 20);
	assert_int_equal(causeway_write(f, "x", 1), 1);
	assert_int_equal(causeway_lseek(f, 0, SEEK_END), 21);
	causeway_close(f);
	f = must_open("f", O_PATH);
	assert_int_equal(causeway_lseek(f, 0, SEEK_SET), -EBADF);
	assert_int_equal(causeway_read(f, buf, 1), -EBADF);
	causeway_close(f);
	f = must_open(".", O_RDONLY);
	assert_int_equal(causeway_lseek(f, 0, SEEK_SET), -EISDIR);
	causeway_close(f);
}

static void test_append(void **state)
{
	struct causeway_file *f, *other;
	char buf[8] = "";

	put("f", "hello");
	f = must_open("f", O_RDWR | O_APPEND);
	other = must_open("f", O_WRONLY | O_APPEND);
	assert_int_equal(causeway_lseek(f, 2, SEEK_SET), 2);
	assert_int_equal(causeway_read(f, buf, 2), 2);
	assert_string_equal(buf, "ll");
	assert_int_equal(causeway_write(other, "AB", 2), 2);
	assert_int_equal(causeway_write(f, "CD", 2), 2);
	assert_content("f", "helloABCD");
	assert_int_equal(causeway_lseek(f, 0, SEEK_CUR), 9);
	assert_int_equal(causeway_lseek(other, 0, SEEK_CUR), 7);
	causeway_close(f);
	causeway_close(other);
}

/* Threads that share a handle share its position: each record is read once, none is overwritten. */
#define RECORDS 400

struct sharer {
	struct causeway_file *f;
	pthread_t thread;
	unsigned int number;
	bool seen[4][RECORDS];
};

static void *write_records(void *arg)
{
	struct sharer *s = arg;

	for (uint32_t i = 0; i < RECORDS; i++) {
		uint32_t record[2] = {s->number, i};

		must(causeway_write(s->f, record, sizeof(record)) == sizeof(record));
	}
	return NULL;
}

static void *read_records(void *arg)
{
	struct sharer *s = arg;
	uint32_t record[2];
	ssize_t n;

	while ((n = causeway_read(s->f, record, sizeof(record))) == sizeof(record)) {
		must(record[0] < 4 && record[1] < RECORDS && !s->seen[record[0]][record[1]]);
		s->seen[record[0]][record[1]] = true;
	}
	must(n == 0);
	return NULL;
}

static void share(struct sharer *sharers, struct causeway_file *f, void *(*what)(void *))
{
	for (unsigned int i = 0; i < 4; i++) {
		sharers[i] = (struct sharer){.f = f, .number = i};
		assert_int_equal(pthread_create(&sharers[i].thread, NULL, what, &sharers[i]), 0);
	}
	for (unsigned int i = 0; i < 4; i++)
		pthread_join(sharers[i].thread, NULL);
}

static void test_shared_position(void **state)
{
	static struct sharer sharers[4];
	struct causeway_file *f = must_open("records", O_RDWR | O_CREAT);

	share(sharers, f, write_records);
	assert_int_equal(causeway_lseek(f, 0, SEEK_CUR), 4 * RECORDS * 8);
	assert_int_equal(causeway_lseek(f, 0, SEEK_SET), 0);
	share(sharers, f, read_records);
	for (unsigned int i = 0; i < 4 * RECORDS; i++) {
		unsigned int readers = 0;

		for (unsigned int k = 0; k < 4; k++)
			readers += sharers[k].seen[i / RECORDS][i % RECORDS];
		assert_int_equal(readers, 1);
	}
	causeway_close(f);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		WORLD_CASE(test_vectors),
		WORLD_CASE(test_many_buffers),
		WORLD_CASE(test_positions),
		WORLD_CASE(test_append),
		WORLD_CASE(test_shared_position),
	};

	return world_run(tests, ARRAY_SIZE(tests));
}

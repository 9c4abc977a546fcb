// SPDX-License-Identifier: BSD-2-Clause
/* Reading, writing, appending, copying. */
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "fscases.h"

enum { BIG = 3 * 1024 * 1024 + 13 };

static void write_read(void)
{
	char buf[64] = "";
	int fd = FD(open("f", O_RDWR | O_CREAT, 0644));

	R(write(fd, "hello, world", 12));
	R(lseek(fd, 0, SEEK_CUR));
	R(pread(fd, buf, 5, 7));
	say("pread text", "%.5s", buf);
	R(pwrite(fd, "W", 1, 7));
	R(lseek(fd, 0, SEEK_SET));
	R(read(fd, buf, sizeof(buf)));
	say("read text", "%.12s", buf);
	R(read(fd, buf, sizeof(buf)));
	R(pread(fd, buf, sizeof(buf), 12));
	R(pread(fd, buf, sizeof(buf), 1000000));
	R(pread(fd, buf, sizeof(buf), -1));
	R(write(fd, "", 0));
	R(read(fd, buf, 0));
	R(close(fd));
	show("f");
	show_content("f");
}

static void odd_offsets(void)
{
	static const struct {
		uint64_t offset;
		size_t len;
	} writes[] = {{12345, 10007}, {0, 1}, {4095, 2}, {4096, 4096}, {65535, 131073}, {1, 4094},
		{200000, 7}, {196608, 3393}, {131071, 65538}};
	static char buf[140000];
	int fd = FD(open("f", O_RDWR | O_CREAT, 0644));

	for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
		fill(buf, writes[i].len, writes[i].offset, i);
		R(pwrite(fd, buf, writes[i].len, writes[i].offset));
	}
	for (uint64_t at = 0; at < 220000; at += 13337) {
		ssize_t n = R(pread(fd, buf, 9999, at));

		say("sum", "%016llx", (unsigned long long)checksum(at, buf, n > 0 ? n : 0));
	}
	close(fd);
	show_content("f");
}

static void say_sum(const void *buf, size_t len)
{
	say("sum", "%016llx", (unsigned long long)checksum(0, buf, len));
}

static void vectors(void)
{
	static char a[1], b[3], c[4097], d[20000];
	struct iovec v[] = {{a, sizeof(a)}, {b, sizeof(b)}, {NULL, 0}, {c, sizeof(c)},
		{d, sizeof(d)}};
	int fd = FD(open("f", O_RDWR | O_CREAT, 0644));

	for (int i = 0; i < 5; i++)
		fill(v[i].iov_base, v[i].iov_len, i * 1000, i);
	R(writev(fd, v, 5));
	R(pwritev(fd, v, 5, 33333));
	R(pwritev2(fd, v, 2, -1, RWF_APPEND));
	R(lseek(fd, 7, SEEK_SET));
	R(readv(fd, v, 5));
	say_sum(c, sizeof(c));
	say_sum(d, sizeof(d));
	R(preadv(fd, v, 5, 50001));
	say_sum(c, sizeof(c));
	say_sum(b, sizeof(b));
	close(fd);
	show_content("f");
}

static void big_requests(void)
{
	char *buf = malloc(BIG);
	uint64_t sum = 0;
	ssize_t n;
	int fd = FD(open("f", O_RDWR | O_CREAT, 0644));

	fill(buf, BIG, 0, 3);
	R(write(fd, buf, BIG));
	R(pwrite(fd, buf, BIG, BIG - 5));
	R(fsync(fd));
	memset(buf, 0, BIG);
	R(pread(fd, buf, BIG, 1));
	say("sum", "%016llx", (unsigned long long)checksum(0, buf, BIG));
	for (uint64_t at = 0; (n = pread(fd, buf, 1 << 20, at)) > 0; at += n)
		sum = checksum(sum, buf, n);
	say("sum in pieces", "%016llx", (unsigned long long)sum);
	close(fd);
	show("f");
	free(buf);
}

static void append(void)
{
	int a = FD(open("f", O_WRONLY | O_CREAT | O_APPEND, 0644));
	int b = FD(open("f", O_WRONLY | O_APPEND));
	int c = FD(open("f", O_RDWR));

	R(write(a, "one,", 4));
	R(write(b, "two,", 4));
	R(write(a, "three,", 6));
	R(pwrite(b, "four,", 5, 0));
	R(lseek(a, 0, SEEK_SET));
	R(write(a, "five,", 5));
	R(lseek(a, 0, SEEK_CUR));
	R(ftruncate(c, 4));
	R(write(b, "six", 3));
	R(fcntl(c, F_SETFL, O_APPEND));
	R(write(c, "!", 1));
	R(fcntl(c, F_SETFL, 0));
	R(pwrite(c, "O", 1, 0));
	R(fcntl(c, F_GETFL) & (O_APPEND | O_ACCMODE));
	show_content("f");
}

static void two_handles(void)
{
	char buf[32] = "";
	int w, r;

	put("f", "first version");
	r = FD(open("f", O_RDONLY));
	w = FD(open("f", O_WRONLY));
	R(pread(r, buf, sizeof(buf), 0));
	R(pwrite(w, "FIRST", 5, 0));
	R(pread(r, buf, sizeof(buf), 0));
	say("read through the other", "%.13s", buf);
	R(ftruncate(w, 5));
	R(pread(r, buf, sizeof(buf), 0));
	R(pwrite(w, "tail", 4, 10));
	R(pread(r, buf, sizeof(buf), 0));
	say("read through the other", "%.5s %d %.4s", buf, buf[7], buf + 10);
	R(write(r, "x", 1));
	R(read(w, buf, 1));
	show_fd("reader's fstat", r);
}

static void truncating(void)
{
	char buf[64];
	int fd;

	put("f", "0123456789abcdef");
	R(truncate("f", 10));
	show_content("f");
	R(truncate("f", 20));
	fd = FD(open("f", O_RDWR));
	R(pread(fd, buf, sizeof(buf), 0));
	say("tail is zero", "%d", !memcmp(buf + 10, "\0\0\0\0\0\0\0\0\0", 10));
	R(ftruncate(fd, 5000));
	R(pwrite(fd, "x", 1, 4999));
	R(ftruncate(fd, 4097));
	R(ftruncate(fd, 10000));
	show("f");
	show_content("f");
	R(ftruncate(fd, 0));
	show("f");
	R(ftruncate(fd, -1));
	R(ftruncate(fd, 12345));
	close(fd);
	show_content("f");
	fd = FD(open("f", O_RDONLY));
	R(ftruncate(fd, 1));
	close(fd);
	fd = FD(open("f", O_WRONLY | O_TRUNC));
	show_fd("fstat after O_TRUNC", fd);
	R(truncate("missing", 0));
	R(mkdir("d", 0755));
	R(truncate("d", 0));
}

static void copying(void)
{
	static char buf[100000];
	off_t in, out;
	int a = FD(open("a", O_RDWR | O_CREAT, 0644));
	int b = FD(open("b", O_RDWR | O_CREAT, 0644));
	int ro = FD(open("a", O_RDONLY));

	fill(buf, sizeof(buf), 0, 1);
	R(write(a, buf, sizeof(buf)));
	R(copy_file_range(a, (in = 0, &in), b, (out = 0, &out), 100000, 0));
	R(copy_file_range(a, (in = 5000, &in), b, (out = 200001, &out), 7777, 0));
	say("offsets after", "%lld %lld", (long long)in, (long long)out);
	R(copy_file_range(a, (in = 99990, &in), b, (out = 3, &out), 1000, 0));
	R(copy_file_range(a, (in = 200000, &in), b, (out = 3, &out), 1000, 0));
	R(copy_file_range(a, (in = 0, &in), a, (out = 10, &out), 1000, 0));
	R(copy_file_range(a, (in = 0, &in), a, (out = 150000, &out), 1000, 0));
	R(copy_file_range(a, (in = 0, &in), ro, (out = 0, &out), 10, 0));
	R(copy_file_range(a, (in = 0, &in), b, (out = 0, &out), 10, 1));
	show_content("a");
	show_content("b");
	R(sendfile(b, a, (in = 1000, &in), 5000));
	show_content("b");
}

static void splicing(void)
{
	static char buf[20000];
	loff_t at;
	int pipes[2] = {-1, -1};
	int a = FD(open("a", O_RDWR | O_CREAT, 0644));
	int b = FD(open("b", O_RDWR | O_CREAT, 0644));
	int more = FD(open("b", O_WRONLY | O_APPEND));

	fill(buf, sizeof(buf), 0, 1);
	R(write(a, buf, sizeof(buf)));
	R(pipe(pipes));
	R(splice(a, (at = 5000, &at), pipes[1], NULL, 12345, 0));
	say("place after", "%lld", (long long)at);
	R(splice(pipes[0], NULL, b, (at = 777, &at), 10000, 0));
	say("place after", "%lld", (long long)at);
	R(splice(pipes[0], NULL, more, NULL, 10000, 0));
	R(splice(a, (at = 19999, &at), pipes[1], NULL, 10, 0));
	R(splice(a, (at = 30000, &at), pipes[1], NULL, 10, 0));
	R(splice(pipes[0], NULL, b, NULL, 10, 0));
	show_content("b");
	close(pipes[0]);
	close(pipes[1]);
}

static void syncing(void)
{
	int fd = FD(open("f", O_RDWR | O_CREAT, 0644));
	int dir = FD(open(".", O_RDONLY | O_DIRECTORY));
	int sync_fd = FD(open("g", O_WRONLY | O_CREAT | O_SYNC, 0644));

	R(write(fd, "data", 4));
	R(fsync(fd));
	R(fdatasync(fd));
	R(fsync(dir));
	R(fdatasync(dir));
	R(syncfs(fd));
	R(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
	R(write(sync_fd, "more", 4));
	R(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	show_content("f");
	show_content("g");
}

static void direct_io(void)
{
	void *buf = NULL;
	int fd = FD(open("f", O_RDWR | O_CREAT | O_DIRECT, 0644));
	int plain = FD(open("f", O_RDWR));

	if (fd < 0 || posix_memalign(&buf, 4096, 65536))
		return;
	fill(buf, 65536, 0, 9);
	R(pwrite(fd, buf, 65536, 0));
	R(pwrite(plain, "buffered", 8, 4090));
	memset(buf, 0, 65536);
	R(pread(fd, buf, 65536, 0));
	say("sum", "%016llx", (unsigned long long)checksum(0, buf, 65536));
	fill(buf, 8192, 0, 10);
	R(pwrite(fd, buf, 8192, 4096));
	R(pread(plain, buf, 100, 4100));
	say("sum", "%016llx", (unsigned long long)checksum(0, buf, 100));
	R(ftruncate(plain, 5000));
	R(pread(fd, buf, 65536, 0));
	R(pread(fd, buf, 4096, 8192));
	free(buf);
	show_content("f");
}

const struct fs_case data_cases[] = {{"write-read", write_read}, {"odd-offsets", odd_offsets},
	{"vectors", vectors}, {"big-requests", big_requests}, {"append", append},
	{"two-handles", two_handles}, {"truncate", truncating}, {"copy", copying},
	{"splice", splicing}, {"sync", syncing}, {"direct-io", direct_io}, {NULL, NULL}};

// SPDX-License-Identifier: BSD-2-Clause
/* Holes, allocation, large offsets. */
#include "fscases.h"

enum { K64 = 65536 };

static void holes(void)
{
	static char buf[K64];
	int fd = FD(open("f", O_RDWR | O_CREAT, 0644));

	fill(buf, sizeof(buf), 0, 1);
	R(ftruncate(fd, 16 * K64));
	R(pwrite(fd, buf, K64, 4 * K64));
	R(pwrite(fd, buf, K64, 10 * K64));
	R(fsync(fd));
	R(lseek(fd, 0, SEEK_DATA));
	R(lseek(fd, 0, SEEK_HOLE));
	R(lseek(fd, 4 * K64 + 5, SEEK_DATA));
	R(lseek(fd, 4 * K64 + 5, SEEK_HOLE));
	R(lseek(fd, 5 * K64, SEEK_DATA));
	R(lseek(fd, 11 * K64, SEEK_DATA));
	R(lseek(fd, 11 * K64, SEEK_HOLE));
	R(lseek(fd, 16 * K64, SEEK_HOLE));
	R(lseek(fd, 17 * K64, SEEK_DATA));
	R(lseek(fd, -1, SEEK_DATA));
	R(lseek(fd, 0, SEEK_END));
	show_content("f");
}

static void seeking(void)
{
	int fd;

	put("f", "0123456789");
	fd = FD(open("f", O_RDWR));
	R(lseek(fd, 5, SEEK_SET));
	R(lseek(fd, 3, SEEK_CUR));
	R(lseek(fd, -2, SEEK_END));
	R(lseek(fd, -20, SEEK_END));
	R(lseek(fd, -1, SEEK_SET));
	R(lseek(fd, 0, 77));
	R(lseek(fd, 100, SEEK_END));
	R(write(fd, "x", 1));
	R(lseek(fd, 0, SEEK_END));
	show_content("f");
}

static void allocate(void)
{
	static char buf[K64];
	int fd = FD(open("f", O_RDWR | O_CREAT, 0644));

	fill(buf, sizeof(buf), 0, 2);
	R(fallocate(fd, 0, 0, 3 * K64));
	show("f");
	R(fallocate(fd, FALLOC_FL_KEEP_SIZE, 3 * K64, K64));
	show("f");
	for (int i = 0; i < 3; i++)
		R(pwrite(fd, buf, K64, (off_t)i * K64));
	R(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10000, 70001));
	show_content("f");
	R(fallocate(fd, FALLOC_FL_ZERO_RANGE, 100000, 150000));
	show("f");
	show_content("f");
	R(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 200000, 150000));
	show("f");
	R(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 100));
	R(fallocate(fd, 0, 0, 0));
	R(fallocate(fd, 0, -1, 10));
	R(posix_fallocate(fd, 0, 1000000));
	show("f");
	R(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, K64));
	R(fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, K64));
	close(fd);
	fd = FD(open("f", O_RDONLY));
	R(fallocate(fd, 0, 0, 10));
}

static void large_offsets(void)
{
	const off_t far = (4LL << 40) + 12345;
	char buf[16] = "";
	int fd = FD(open("f", O_RDWR | O_CREAT, 0644));

	R(pwrite(fd, "far away", 8, far));
	show("f");
	R(pread(fd, buf, sizeof(buf), far));
	say("text", "%.8s", buf);
	R(pread(fd, buf, sizeof(buf), far - 8));
	say("zeroes before", "%d", !memcmp(buf, "\0\0\0\0\0\0\0", 8));
	R(pread(fd, buf, sizeof(buf), (4LL << 30) - 1));
	R(fsync(fd));
	R(lseek(fd, 0, SEEK_END));
	R(lseek(fd, 0, SEEK_DATA) > (4LL << 40));
	R(truncate("f", (5LL << 40) + 1));
	show("f");
	R(truncate("f", 3));
	show_content("f");
	R(ftruncate(fd, INT64_MAX));
	R(pwrite(fd, "x", 1, INT64_MAX));
}

const struct fs_case space_cases[] = {{"holes", holes}, {"seek", seeking}, {"allocate", allocate},
	{"large-offsets", large_offsets}, {NULL, NULL}};

// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the cases share: they tell, show files, make them, and have children.
 */
#include <grp.h>
#include <stdarg.h>
#include <time.h>

#include "fscases.h"

const char *current_case = "?";
const char *own_program;

void say(const char *label, const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	printf("%s: %s = %s\n", current_case, label, text);
	fflush(stdout);
}

long report(const char *label, long result)
{
	int err = errno;

	if (result < 0 && result >= -1)
		say(label, "%s", strerrorname_np(err));
	else
		say(label, "%ld", result);
	errno = err;
	return result;
}

int report_fd(const char *label, int fd)
{
	int err = errno;

	say(label, "%s", fd >= 0 ? "ok" : strerrorname_np(err));
	errno = err;
	return fd;
}

static const char *type_name(mode_t mode)
{
	static const char *const names[16] = {[S_IFREG >> 12] = "file",
		[S_IFDIR >> 12] = "directory",
		[S_IFLNK >> 12] = "symlink",
		[S_IFIFO >> 12] = "fifo",
		[S_IFSOCK >> 12] = "socket",
		[S_IFCHR >> 12] = "char",
		[S_IFBLK >> 12] = "block"};
	const char *name = names[(mode & S_IFMT) >> 12];

	return name ? name : "?";
}

static void show_stat(const char *label, const struct stat *st)
{
	char more[64] = "";

	if (!S_ISDIR(st->st_mode))
		snprintf(more, sizeof(more), " size %lld", (long long)st->st_size);
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
		snprintf(more, sizeof(more), " device %#llx", (unsigned long long)st->st_rdev);
	say(label, "%s %04o links %lu owner %u:%u%s", type_name(st->st_mode), st->st_mode & 07777,
		(unsigned long)st->st_nlink, st->st_uid, st->st_gid, more);
}

void show(const char *path)
{
	struct stat st;
	char label[300];

	snprintf(label, sizeof(label), "lstat %.200s", path);
	if (lstat(path, &st))
		report(label, -1);
	else
		show_stat(label, &st);
}

void show_fd(const char *label, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		report(label, -1);
	else
		show_stat(label, &st);
}

uint64_t checksum(uint64_t sum, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	for (size_t i = 0; i < len; i++)
		sum = (sum ^ p[i]) * 0x100000001b3;
	return sum;
}

static bool printable(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] < ' ' || text[i] > '~')
			return false;
	}
	return true;
}

void show_content(const char *path)
{
	static char buf[65536];
	char label[300], head[49];
	uint64_t sum = 0, size = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	snprintf(label, sizeof(label), "content of %.200s", path);
	if (fd < 0) {
		report(label, -1);
		return;
	}
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		if (size == 0)
			memcpy(head, buf, sizeof(head) - 1);
		sum = checksum(sum, buf, n);
		size += n;
	}
	if (n < 0)
		report(label, -1);
	else if (size < sizeof(head) && printable(head, size))
		say(label, "%llu bytes '%.*s'", (unsigned long long)size, (int)size, head);
	else
		say(label, "%llu bytes sum %016llx", (unsigned long long)size,
			(unsigned long long)sum);
	close(fd);
}

void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ssize_t len = strlen(text);

	if (fd < 0 || write(fd, text, len) != len || close(fd)) {
		report("put a file", -1);
		exit(1);
	}
}

void fill(void *buf, size_t len, uint64_t offset, unsigned int seed)
{
	uint8_t *p = buf;

	for (size_t i = 0; i < len; i++) {
		uint64_t at = offset + i;

		p[i] = (at * 7 + (at >> 8) * 13 + (at >> 16) * 29 + seed * 101 + 1) & 0xff;
	}
}

void in_child(void (*fn)(void *), void *arg)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		fn(arg);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		report("child", -1);
	else if (status)
		say("child", "status %#x", status);
}

struct user {
	uid_t uid;
	gid_t gid;
	gid_t extra;
	void (*fn)(void *);
	void *arg;
};

static void become(void *arg)
{
	const struct user *u = arg;

	if (setgroups(u->extra ? 1 : 0, &u->extra) || setresgid(u->gid, u->gid, u->gid) ||
		setresuid(u->uid, u->uid, u->uid))
		report("become another user", -1);
	else
		u->fn(u->arg);
}

void as_user(uid_t uid, gid_t gid, gid_t extra, void (*fn)(void *), void *arg)
{
	struct user u = {uid, gid, extra, fn, arg};

	in_child(become, &u);
}

void next_tick(void)
{
	/* File systems stamp with the kernel's coarse clock, one step of which is 10 ms at most. */
	struct timespec t = {.tv_nsec = 25 * 1000 * 1000};

	nanosleep(&t, NULL);
}

int64_t stamp(const struct timespec *t)
{
	return t->tv_sec * 1000000000LL + t->tv_nsec;
}

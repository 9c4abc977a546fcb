// SPDX-License-Identifier: BSD-2-Clause
/* Locks between processes of one machine. */
#include <sys/file.h>

#include "fscases.h"

static void try_flock(void *arg)
{
	int fd = open("f", O_RDWR);

	report((const char *)arg, flock(fd, LOCK_EX | LOCK_NB));
	report("shared", flock(fd, LOCK_SH | LOCK_NB));
}

static void whole_file(void)
{
	int a, b;

	put("f", "text");
	a = FD(open("f", O_RDWR));
	b = FD(open("f", O_RDONLY));
	R(flock(a, LOCK_EX));
	R(flock(b, LOCK_SH | LOCK_NB));
	in_child(try_flock, (void *)"a child, when held");
	R(flock(a, LOCK_SH));
	R(flock(b, LOCK_SH | LOCK_NB));
	in_child(try_flock, (void *)"a child, when shared");
	R(flock(b, LOCK_EX | LOCK_NB));
	R(flock(a, LOCK_UN));
	R(flock(b, LOCK_EX | LOCK_NB));
	close(b);
	in_child(try_flock, (void *)"a child, when free");
}

static struct flock range(short type, off_t start, off_t len)
{
	return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
}

static void try_ranges(void *arg)
{
	static const struct {
		off_t start, len;
	} tries[] = {{0, 10}, {10, 10}, {15, 1}, {20, 10}, {0, 0}, {1000, 0}};
	int fd = open("f", O_RDWR);
	struct flock l;

	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		for (int wr = 0; wr < 2; wr++) {
			l = range(wr ? F_WRLCK : F_RDLCK, tries[i].start, tries[i].len);
			report(wr ? "write lock" : "read lock", fcntl(fd, F_SETLK, &l));
			l = range(wr ? F_WRLCK : F_RDLCK, tries[i].start, tries[i].len);
			fcntl(fd, F_GETLK, &l);
			say("held by", "type %d from %lld for %lld, parent %d", l.l_type,
				(long long)l.l_start, (long long)l.l_len, l.l_pid == getppid());
		}
		l = range(F_UNLCK, 0, 0);
		fcntl(fd, F_SETLK, &l);
	}
}

static void ranges(void)
{
	struct flock l;
	int fd, other;

	put("f", "text");
	fd = FD(open("f", O_RDWR));
	l = range(F_WRLCK, 10, 10);
	R(fcntl(fd, F_SETLK, &l));
	l = range(F_RDLCK, 20, 10);
	R(fcntl(fd, F_SETLK, &l));
	in_child(try_ranges, NULL);
	l = range(F_UNLCK, 12, 4);
	R(fcntl(fd, F_SETLK, &l));
	in_child(try_ranges, NULL);
	l = range(F_WRLCK, -1, 1);
	R(fcntl(fd, F_SETLK, &l));
	other = FD(open("f", O_RDONLY));
	l = range(F_WRLCK, 0, 1);
	R(fcntl(other, F_SETLK, &l));
	/* Closing any descriptor of the file drops the process's locks. */
	R(close(other));
	in_child(try_ranges, NULL);
}

static void descriptions(void)
{
	struct flock l;
	int a, b;

	put("f", "text");
	a = FD(open("f", O_RDWR));
	b = FD(open("f", O_RDWR));
	l = range(F_WRLCK, 0, 10);
	R(fcntl(a, F_OFD_SETLK, &l));
	l = range(F_WRLCK, 5, 10);
	R(fcntl(b, F_OFD_SETLK, &l));
	l = range(F_WRLCK, 10, 10);
	R(fcntl(b, F_OFD_SETLK, &l));
	in_child(try_ranges, NULL);
	R(close(a));
	l = range(F_WRLCK, 5, 10);
	R(fcntl(b, F_OFD_SETLK, &l));
}

static void waiting(void)
{
	struct flock l;
	int fd, pipe_fd[2], status;
	char c;
	pid_t pid;

	put("f", "text");
	fd = FD(open("f", O_RDWR));
	l = range(F_WRLCK, 0, 0);
	R(fcntl(fd, F_SETLK, &l));
	R(pipe(pipe_fd));
	pid = fork();
	if (pid == 0) {
		l = range(F_WRLCK, 0, 0);
		c = fcntl(fd, F_SETLK, &l) ? 'b' : '?';
		if (write(pipe_fd[1], &c, 1) != 1 || fcntl(fd, F_SETLKW, &l))
			_exit(1);
		c = 'g';
		_exit(write(pipe_fd[1], &c, 1) != 1);
	}
	R(read(pipe_fd[0], &c, 1));
	say("child", "%c", c);
	l = range(F_UNLCK, 0, 0);
	R(fcntl(fd, F_SETLK, &l));
	R(read(pipe_fd[0], &c, 1));
	say("child", "%c", c);
	R(waitpid(pid, &status, 0) == pid);
	say("status", "%d", status);
}

const struct fs_case lock_cases[] = {{"flock", whole_file}, {"lock-ranges", ranges},
	{"lock-descriptions", descriptions}, {"lock-waiting", waiting}, {NULL, NULL}};

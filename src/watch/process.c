// SPDX-License-Identifier: BSD-2-Clause
/*
 * The watcher's process: how it begins, and what it waits for.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/syslog.h"
#include "base/util.h"
#include "coherence/words.h"
#include "watch/inner.h"

/* What a C library does on its own, and renewing a table (coherence/file.c):
 *
 * #syscalls(watcher): brk mmap:2&PROT_EXEC=0 mprotect:2&PROT_EXEC=0 munmap mremap madvise futex
 * #syscalls(watcher): rt_sigreturn rt_sigprocmask rt_sigaction restart_syscall exit_group getpid
 * #syscalls(watcher): gettid tgkill write sendto poll ppoll newfstatat fstat fstatfs openat
 * #syscalls(watcher): clock_nanosleep nanosleep getrandom pread64 pwrite64 fallocate ftruncate
 * #syscalls(watcher): renameat unlinkat fchmod fchown geteuid getegid */

#define POISON_MS   1000
#define PATIENCE_MS 2000
#define SETTLE_MS   2000
#define RETRY_MS    5

static struct watcher the_watcher;

uint64_t process_mounts(void)
{
	static uint64_t number;
	struct stat st;

	/* It never goes into another one. */
	if (!number && stat("/proc/self/ns/mnt", &st) == 0)
		number = st.st_ino;
	return number;
}

/* Says once why nobody watches, and ends. */
static _Noreturn void give_up(const struct watcher *w, int error, const char *why)
{
	const struct watch_message m = {.op = WATCH_READY, .result = error};

	log_warn("host processes are not watched, and what they change is seen after a time only: "
		 "%s (%s)", why, strerror(-error));
	message_send(w->peers[0].sock, &m, -1, 0);
	_exit(1);
}

/* Of what the server has open, it needs its socket and the log. */
static void close_others(int sock)
{
	int keep[] = {STDERR_FILENO, sock, syslog_descriptor()};
	unsigned int from = STDERR_FILENO + 1;

	if (keep[2] >= 0 && keep[2] < keep[1]) {
		keep[1] = keep[2];
		keep[2] = sock;
	}
	for (size_t i = 1; i < ARRAY_SIZE(keep); i++) {
		if (keep[i] < (int)from)
			continue;
		if (keep[i] > (int)from)
			close_range(from, (unsigned int)keep[i] - 1, 0);
		from = (unsigned int)keep[i] + 1;
	}
	close_range(from, ~0u, 0);
}

/* Its own opening of the files, and nothing of what it inherited: the server's locks are the
 * server's alone, and the memory of a table that is replaced goes when nobody maps it any more. */
static void attach(struct watcher *w, const char *path)
{
	int r;

	vtable_close(w->t);
	r = vtable_open(&w->t, path, 0, PATIENCE_MS);
	if (r < 0)
		give_up(w, r, "the watcher cannot attach to the version table");
	w->locks = openat(w->t->dir, w->t->key_name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (w->locks < 0 || fchdir(w->t->dir) < 0 ||
		asprintf(&w->socket_name, "%s.watch", w->t->name) < 0)
		give_up(w, -errno, "the watcher cannot open the version table's folder");
}

static void remember_recent(struct watcher *w)
{
	void *map;

	w->recent_fd = memfd_create("causeway-recent", MFD_CLOEXEC);
	if (w->recent_fd < 0 || ftruncate(w->recent_fd, sizeof(*w->recent)) < 0)
		give_up(w, -errno, "no memory");
	map = mmap(NULL, sizeof(*w->recent), PROT_READ | PROT_WRITE, MAP_SHARED, w->recent_fd, 0);
	if (map == MAP_FAILED)
		give_up(w, -errno, "no memory");
	w->recent = map;
}

/* Whether whole file systems may be marked at all. Of those that cannot be, servers hear when they
 * show one. */
static void try_privileges(struct watcher *w)
{
	CLEANUP_FD int root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = event_open(w);

	if (r < 0)
		give_up(w, r, r == -EPERM ? "fanotify needs CAP_SYS_ADMIN"
					  : "fanotify has to tell of names and inodes: Linux 5.17");
	r = event_mark(w, root, true);
	if (r == -EPERM)
		give_up(w, r, "marks of file systems need CAP_SYS_ADMIN, in the initial user "
			      "namespace");
	if (r == 0)
		event_mark(w, root, false);
	w->mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (w->mounts < 0)
		give_up(w, -errno, "/proc/self/mountinfo cannot be opened");
}

/* A table that follows a poisoned one. Of memory, it is the server that makes it, and gives it to
 * us (WATCH_TABLE). */
static void look_after_table(struct watcher *w, uint64_t now)
{
	bool lost;

	if (now - w->look_ms < POISON_MS)
		return;
	w->look_ms = now;
	if (w->in_memory || !vtable_is_poisoned(w->t))
		return;
	/* If it cannot be had now, there is another time; nobody trusts this one. The server says
	 * why, if it has to. */
	w->t->told = true;
	lost = w->t->lost;
	/* While we had none, what happened was passed on to nobody. */
	if (vtable_renew(w->t, PATIENCE_MS) == 0 && lost)
		w->beating = false;
}

static void seek(struct watcher *w)
{
	if (w->role == ROLE_SEEKING && !lead_try(w))
		follow_try(w);
}

void process_settle(struct watcher *w)
{
	uint64_t end = clock_ms() + SETTLE_MS;

	for (seek(w); w->role == ROLE_SEEKING && clock_ms() < end; seek(w))
		poll(NULL, 0, RETRY_MS);
}

/* Something else is at some path. */
static void hear_mounts(struct watcher *w)
{
	if (w->role == ROLE_IDLE || (w->role == ROLE_FOLLOWING && w->same_mounts))
		return;
	log_debug("version table: the epoch moves: something was mounted or unmounted");
	vtable_enter(w->t);
	vtable_distrust(w->t);
	vtable_leave(w->t);
}

static int patience(const struct watcher *w, uint64_t now)
{
	uint64_t next;

	if (w->role == ROLE_LEADING && w->crowded)
		return NAP_MS;
	if (w->role == ROLE_SEEKING || (w->role == ROLE_LEADING && !w->beating))
		return SEEK_MS;
	if (w->role != ROLE_LEADING)
		return POISON_MS;
	next = w->beat_ms + VT_BEAT_MS;
	return next > now ? (int)(next - now) : 1;
}

/*
 * After an event there is often another. Whoever makes it pays for waking us if we wait for it,
 * servers above all; so we come back a little later by ourselves, and wait for the queue only when
 * it was empty then.
 */
static void wait_once(struct watcher *w)
{
	struct pollfd polls[4 + MEMBERS] = {
		{.fd = w->role == ROLE_LEADING && !w->crowded ? w->group : -1, .events = POLLIN},
		{.fd = w->mounts, .events = POLLPRI},
		{.fd = w->listener, .events = POLLIN},
		{.fd = w->leader, .events = POLLIN},
	};

	for (size_t i = 0; i < MEMBERS; i++)
		polls[4 + i] = (struct pollfd){.fd = w->peers[i].sock, .events = POLLIN};
	if (poll(polls, ARRAY_SIZE(polls), patience(w, clock_ms())) < 0)
		return;
	if (polls[1].revents)
		hear_mounts(w);
	if (polls[3].revents)
		follow_hear(w);
	for (size_t i = 0; i < MEMBERS; i++) {
		/* One before may have taken it away. */
		if (polls[4 + i].revents && w->peers[i].sock == polls[4 + i].fd)
			peer_hear(w, &w->peers[i]);
	}
	if (polls[2].revents)
		lead_accept(w);
}

_Noreturn void watcher_run(int sock, struct vtable *t, const char *path,
	void (*seal)(void *opaque), void *opaque)
{
	const struct watch_message ready = {.op = WATCH_READY};
	struct watcher *w = &the_watcher;

	prctl(PR_SET_NAME, "causeway-watch");
	umask(077);
	close_others(sock);
	vtable_disown_descriptors(t);
	for (size_t i = 0; i < MEMBERS; i++)
		w->peers[i] = (struct peer){.sock = -1, .pidfd = -1, .member = -1};
	w->peers[0].sock = sock;
	w->group = w->listener = w->leader = w->locks = -1;
	w->in_memory = !path;
	w->t = t;
	if (path)
		attach(w, path);
	remember_recent(w);
	try_privileges(w);
	process_mounts();
	if (seal)
		seal(opaque);
	message_send(sock, &ready, -1, 0);
	for (;;) {
		wait_once(w);
		seek(w);
		if (w->role == ROLE_LEADING) {
			event_read(w, EVENT_ROUNDS);
			lead_go_on(w, clock_ms());
		}
		look_after_table(w, clock_ms());
	}
}

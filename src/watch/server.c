// SPDX-License-Identifier: BSD-2-Clause
/*
 * The server's side of its watcher.
 */
#include "watch/watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "watch/inner.h"

/* #syscalls(versions): sendmsg recvmsg poll ppoll futex close fstat newfstatat
 * #syscalls(versions): mmap:2&PROT_EXEC=0 */

#define SHARE_MS 2000

struct watch {
	pthread_mutex_t lock; /* one call at a time */
	int sock;
	_Atomic bool lost;
	bool told; /* that it is lost; of watch_tick() */
	/* The leader's; another one is mapped over it when somebody else leads. */
	struct recent *recent;
};

/* Others read there meanwhile, the old words or the new ones: the kernel sees to that, which
 * ThreadSanitizer does not know of mmap(3), taking it for a store to all of them. */
static bool map_over(void *at, size_t size, int fd)
{
	return syscall(SYS_mmap, at, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0L) != -1;
}

static void take_recent(void *opaque, const struct watch_message *m, int fd)
{
	struct watch *w = opaque;
	struct stat st;

	if (m->op == WATCH_RECENT && fd >= 0 && fstat(fd, &st) == 0 &&
		st.st_size == (off_t)sizeof(*w->recent) &&
		!map_over(w->recent, sizeof(*w->recent), fd))
		log_debug("watcher: what changed lately cannot be mapped: %s", strerror(errno));
	close_fd(&fd);
}

static int call_for(struct watch *w, int patience, struct watch_message m, int fd)
{
	const struct watch_call c = {
		.sock = w->sock,
		.fd = fd,
		.patience = patience,
		.other = take_recent,
		.opaque = w,
	};
	int r;

	pthread_mutex_lock(&w->lock);
	r = atomic_load(&w->lost) ? -EPIPE : message_call(&c, &m);
	pthread_mutex_unlock(&w->lock);
	return r;
}

/* It may have to ask the leader first. */
static int call(struct watch *w, struct watch_message m, int fd)
{
	return call_for(w, 2 * CALL_MS, m, fd);
}

static struct watch *new_watch(void)
{
	struct watch *w = calloc(1, sizeof(*w));
	void *map = mmap(NULL, sizeof(*w->recent), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (!w || map == MAP_FAILED) {
		free(w);
		return NULL;
	}
	pthread_mutex_init(&w->lock, NULL);
	w->recent = map;
	w->sock = -1;
	return w;
}

void watch_end(struct watch *w)
{
	if (!w)
		return;
	close_fd(&w->sock);
	munmap(w->recent, sizeof(*w->recent));
	pthread_mutex_destroy(&w->lock);
	free(w);
}

/* Nobody has to wait for its end: its parent is gone at once. */
static int fork_twice(int sock, const struct watch_config *config)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		return -errno;
	if (child == 0) {
		child = fork();
		if (child != 0)
			_exit(child < 0 ? errno : 0);
		watcher_run(sock, config->table, config->path, config->seal, config->opaque);
	}
	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

int watch_start(struct watch **out, const struct watch_config *config)
{
	struct watch *w = *out = new_watch();
	struct watch_message ready;
	struct watch_extra extra;
	int socks[2] = {-1, -1}, r, on = 1;
	bool answered = false;

	if (!w)
		return -ENOMEM;
	r = neg_errno(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks));
	w->sock = socks[0];
	if (r == 0)
		r = neg_errno(setsockopt(socks[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
	if (r == 0)
		r = fork_twice(socks[1], config);
	close_fd(&socks[1]);
	if (r == 0)
		r = message_receive(w->sock, &ready, &extra, 0);
	answered = r == 0;
	if (answered)
		r = ready.result;
	if (r < 0 && !answered)
		log_warn("host processes are not watched: their watcher did not start (%s)",
			strerror(-r));
	if (r < 0)
		atomic_store(&w->lost, w->told = true);
	return r;
}

int watch_join(struct watch *w)
{
	int r = call(w, (struct watch_message){.op = WATCH_JOIN}, -1);

	/* What it has been told of it does not watch. */
	if (r < 0)
		atomic_store(&w->lost, true);
	return r;
}

int watch_add(struct watch *w, int fd, uint64_t id)
{
	int r = call(w, (struct watch_message){.op = WATCH_ADD, .id = id}, fd);

	if (r == -EPIPE || r == -ETIMEDOUT)
		atomic_store(&w->lost, true);
	return r;
}

void watch_drop(struct watch *w, uint64_t id)
{
	const struct watch_message m = {.op = WATCH_DROP, .id = id};

	/* Where that has no room, it is watched for nothing. */
	if (!atomic_load(&w->lost))
		message_send(w->sock, &m, -1, MSG_DONTWAIT);
}

void watch_leave(struct watch *w)
{
	const struct watch_message m = {.op = WATCH_LOOK};

	/* Where that has no room, it looks by itself within a second. */
	if (!atomic_load(&w->lost))
		message_send(w->sock, &m, -1, MSG_DONTWAIT);
}

void watch_share(void *opaque, int fd)
{
	struct watch *w = opaque;

	/* Requests wait meanwhile. */
	if (call_for(w, SHARE_MS, (struct watch_message){.op = WATCH_TABLE}, fd) < 0)
		atomic_store(&w->lost, true);
}

bool watch_tick(struct watch *w)
{
	struct watch_message m;
	struct watch_extra extra;
	int r = 0;

	pthread_mutex_lock(&w->lock);
	while (r == 0 && !atomic_load(&w->lost)) {
		r = message_receive(w->sock, &m, &extra, MSG_DONTWAIT);
		if (r == 0)
			take_recent(w, &m, extra.fd);
	}
	pthread_mutex_unlock(&w->lock);
	if (r < 0 && r != -EAGAIN)
		atomic_store(&w->lost, true);
	if (w->told || !atomic_load(&w->lost))
		return false;
	log_warn("the watcher of host processes has ended: what they change is seen after a time "
		 "only, until this server is started again");
	return w->told = true;
}

bool watch_is_lost(const struct watch *w)
{
	return atomic_load_explicit(&w->lost, memory_order_relaxed);
}

bool watch_is_restless(const struct watch *w, dev_t dev, ino_t ino)
{
	uint32_t at = recent_at(w->recent, dev, ino);

	return at && recent_is(at, clock_ms());
}

uint64_t watch_events(const struct watch *w)
{
	return atomic_load_explicit(&w->recent->events, memory_order_relaxed);
}

// SPDX-License-Identifier: BSD-2-Clause
#include "vhost/window.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/util.h"
#include "vhost/msg.h"

/* Where a window begins, so that large pages of a file can be mapped as such. */
#define ALIGNMENT (2ull << 20)

void vhost_window_init(struct vhost_window *w)
{
	pthread_condattr_t forward;

	*w = (struct vhost_window){
		.nothing = -1, .sock = -1, .channel = -1, .stop = -1, .table = -1};
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&forward);
	pthread_condattr_setclock(&forward, CLOCK_MONOTONIC);
	pthread_cond_init(&w->told, &forward);
	pthread_condattr_destroy(&forward);
}

bool vhost_window_why(struct vhost_window *w, char *text, size_t size)
{
	bool known;

	pthread_mutex_lock(&w->lock);
	known = w->why[0] != '\0';
	if (known)
		snprintf(text, size, "%s", w->why);
	pthread_mutex_unlock(&w->lock);
	return known;
}

/* Ends the connection: whoever talks or listens there finds out, and asks why. */
static void end(struct vhost_window *w, const char *why)
{
	pthread_mutex_lock(&w->lock);
	snprintf(w->why, sizeof(w->why), "%s", why);
	pthread_mutex_unlock(&w->lock);
	shutdown(w->sock, SHUT_RDWR);
	shutdown(w->channel, SHUT_RDWR);
}

static bool is_cut(const struct vhost_window *w, uint64_t page)
{
	return w->cuts[page / 64] >> page % 64 & 1;
}

static unsigned int cuts_between(const struct vhost_window *w, uint64_t from, uint64_t to)
{
	unsigned int n = 0;

	while (from < to) {
		bool none = from % 64 == 0 && w->cuts[from / 64] == 0;

		n += is_cut(w, from);
		from += none ? 64 : 1;
	}
	return n;
}

static void set_cut(struct vhost_window *w, uint64_t page, bool cut)
{
	uint64_t bit = 1ull << page % 64;

	w->ncuts += cut;
	w->ncuts -= is_cut(w, page);
	w->cuts[page / 64] = (w->cuts[page / 64] & ~bit) | (cut ? bit : 0);
}

/* Notes that a range becomes one mapping, unless the window would be in too many parts then. What
 * the kernel joins counts as cut here: a range that comes and goes costs the same two cuts. */
static bool cut(struct vhost_window *w, const struct vu_shmem_map *m)
{
	uint64_t from = m->shm_offset / VHOST_WINDOW_PAGE;
	uint64_t to = from + m->len / VHOST_WINDOW_PAGE;
	uint64_t last = w->size / VHOST_WINDOW_PAGE;
	unsigned int more = !is_cut(w, from) + (to < last && !is_cut(w, to));
	unsigned int fewer = cuts_between(w, from + 1, to);

	if (w->ncuts + more > VHOST_WINDOW_CUTS + fewer)
		return false;
	for (uint64_t page = from + 1; page < to && fewer > 0; page++) {
		fewer -= is_cut(w, page);
		set_cut(w, page, false);
	}
	set_cut(w, from, true);
	if (to < last)
		set_cut(w, to, true);
	return true;
}

static bool is_range(const struct vhost_window *w, const struct vu_shmem_map *m)
{
	return m->shmid == 0 && m->len > 0 && m->len <= w->size &&
		m->shm_offset <= w->size - m->len && m->len % VHOST_WINDOW_PAGE == 0 &&
		m->shm_offset % VHOST_WINDOW_PAGE == 0;
}

/* Has nothing in a range again. */
static int map_nothing(struct vhost_window *w, const struct vu_shmem_map *m, int fixed)
{
	char *at = w->base + m->shm_offset;
	void *map = mmap(at, m->len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | fixed,
		w->nothing, 0);

	if (map == MAP_FAILED)
		return -errno;
	/* A kernel that does not know the flag takes the place for advice. */
	if (map != at) {
		munmap(map, m->len);
		return -EEXIST;
	}
	madvise(map, m->len, MADV_DONTDUMP);
	return 0;
}

/* Whether a descriptor is of something whose pages are as long as ours: the kernel rounds lengths
 * up to the pages of others. */
static int check_file(int fd)
{
	struct statfs fs;
	struct stat st;

	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return -errno;
	return S_ISREG(st.st_mode) && fs.f_type != HUGETLBFS_MAGIC ? 0 : -EINVAL;
}

static void set_table(struct vhost_window *w, int fd)
{
	pthread_mutex_lock(&w->lock);
	close_fd(&w->table);
	w->table = fd;
	pthread_cond_broadcast(&w->told);
	pthread_mutex_unlock(&w->lock);
}

static bool is_table(const struct vhost_window *w, const struct vu_shmem_map *m)
{
	return w->table_size > 0 && m->shm_offset == 0 && m->len > 0 && m->len <= w->table_size;
}

static int map_table(struct vhost_window *w, struct vu_msg *msg)
{
	const struct vu_shmem_map *m = &msg->body.shmem_map;
	int r = check_file(msg->fds[0]);

	if (r == 0 && (!is_table(w, m) || m->flags || m->fd_offset))
		r = -EINVAL;
	if (r == 0)
		set_table(w, steal_fd(&msg->fds[0]));
	return r;
}

int vhost_window_table(struct vhost_window *w, int patience_ms)
{
	struct timespec until;
	int fd, r = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += patience_ms / 1000;
	until.tv_nsec += patience_ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	pthread_mutex_lock(&w->lock);
	while (w->serving && w->table < 0 && r == 0)
		r = pthread_cond_timedwait(&w->told, &w->lock, &until);
	fd = w->table < 0 ? -ENOENT : fcntl(w->table, F_DUPFD_CLOEXEC, 0);
	r = fd < 0 && w->table >= 0 ? -errno : fd;
	pthread_mutex_unlock(&w->lock);
	return r;
}

/*
 * The kernel takes away what was mapped before it asks the file. So the file is asked before, at
 * another place; should it then fail all the same, the gap is closed, unless another thread of the
 * program has been given that place meanwhile: then the window is lost.
 */
static int map(struct vhost_window *w, struct vu_msg *msg)
{
	const struct vu_shmem_map *m = &msg->body.shmem_map;
	int prot = PROT_READ | (m->flags & VU_SHMEM_MAP_WRITABLE ? PROT_WRITE : 0);
	off_t offset = (off_t)m->fd_offset;
	int r = check_file(msg->fds[0]);
	void *probe;

	if (m->shmid == 1)
		return map_table(w, msg);
	if (r == 0 && (!is_range(w, m) || m->flags & ~VU_SHMEM_MAP_WRITABLE ||
			      m->fd_offset % VHOST_WINDOW_PAGE != 0 ||
			      m->fd_offset > INT64_MAX - m->len))
		r = -EINVAL;
	if (r < 0)
		return r;
	probe = mmap(NULL, m->len, prot, MAP_SHARED | MAP_NORESERVE, msg->fds[0], offset);
	if (probe == MAP_FAILED)
		return -errno;
	munmap(probe, m->len);
	if (!cut(w, m))
		return -ENOSPC;
	if (mmap(w->base + m->shm_offset, m->len, prot, MAP_SHARED | MAP_NORESERVE | MAP_FIXED,
		    msg->fds[0], offset) != MAP_FAILED)
		return 0;
	r = -errno;
	/* Where the old mapping is still there this fails too, and all is well. */
	if (map_nothing(w, m, MAP_FIXED_NOREPLACE) < 0)
		w->lost = true;
	return r;
}

static int unmap(struct vhost_window *w, struct vu_msg *msg)
{
	const struct vu_shmem_map *m = &msg->body.shmem_map;

	if (m->shmid == 1 && is_table(w, m)) {
		set_table(w, -1);
		return 0;
	}
	if (!is_range(w, m))
		return -EINVAL;
	return cut(w, m) ? map_nothing(w, m, MAP_FIXED) : -ENOSPC;
}

/* There are no shared objects. Back-ends ask for this to know that what came before is done. */
static int remove_object(struct vhost_window *w, struct vu_msg *msg)
{
	return 0;
}

static const struct {
	uint32_t size;
	unsigned int nfds;
	int (*handle)(struct vhost_window *w, struct vu_msg *msg);
} requests[] = {
	[VU_BACKEND_SHARED_OBJECT_REMOVE] = {VU_UUID_SIZE, 0, remove_object},
	[VU_BACKEND_SHMEM_MAP] = {sizeof(struct vu_shmem_map), 1, map},
	[VU_BACKEND_SHMEM_UNMAP] = {sizeof(struct vu_shmem_map), 0, unmap},
};

/* Handles one message; whether the channel goes on. */
static bool handle(struct vhost_window *w, struct vu_msg *msg)
{
	uint32_t kind = msg->head.request;
	bool known = kind < ARRAY_SIZE(requests) && requests[kind].handle;
	char why[sizeof(w->why)];
	int r = -EOPNOTSUPP;

	if (known && (msg->head.size != requests[kind].size || msg->nfds != requests[kind].nfds)) {
		snprintf(why, sizeof(why), "the back-end's request %u on its channel is "
					   "malformed: %u bytes and %u descriptors",
			kind, msg->head.size, msg->nfds);
		end(w, why);
		return false;
	}
	vhost_window_order(w);
	if (known)
		r = w->lost ? -EIO : requests[kind].handle(w, msg);
	vhost_window_order(w);
	if (!(msg->head.flags & VU_FLAG_NEED_REPLY))
		return true;
	msg->body.u64 = (uint64_t)-r;
	r = vu_msg_reply(w->channel, msg, sizeof(msg->body.u64));
	if (r == 0 || r == -EPIPE || r == -ECONNRESET)
		return r == 0;
	end(w, "the back-end does not read the answers on its channel");
	return false;
}

static void *serve(void *arg)
{
	struct vhost_window *w = arg;
	struct vu_msg msg;
	bool go_on = true;

	while (go_on) {
		int r = vu_msg_recv(w->channel, w->stop, &msg);

		if (r == -EBADMSG)
			end(w, "the back-end sent on its channel what is no vhost-user message");
		/* A back-end may close it: then nothing changes any more. */
		if (r <= 0)
			break;
		go_on = handle(w, &msg);
		vu_msg_close(&msg);
	}
	return NULL;
}

/* Address space, from a multiple of ALIGNMENT on. */
static int reserve(struct vhost_window *w)
{
	const struct vu_shmem_map all = {.len = w->size};
	char *map, *end;

	w->nothing = memfd_create("causeway-window", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (w->nothing < 0 || fcntl(w->nothing, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	map = mmap(NULL, w->size + ALIGNMENT, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
			MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return -errno;
	end = map + w->size + ALIGNMENT;
	w->base = (char *)(((uintptr_t)map + ALIGNMENT - 1) & ~(ALIGNMENT - 1));
	if (w->base > map)
		munmap(map, (size_t)(w->base - map));
	if (w->base + w->size < end)
		munmap(w->base + w->size, (size_t)(end - (w->base + w->size)));
	return map_nothing(w, &all, MAP_FIXED);
}

/* The program's signals are for its own threads. */
static int start(struct vhost_window *w)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	r = -pthread_create(&w->thread, NULL, serve, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	w->serving = r == 0;
	return r;
}

int vhost_window_open(struct vhost_window *w, uint64_t size, int sock, int *theirs)
{
	int pair[2], r = 0;

	w->size = size;
	w->sock = sock;
	w->cuts = calloc(size / VHOST_WINDOW_PAGE / 64 + 1, sizeof(*w->cuts));
	w->stop = eventfd(0, EFD_CLOEXEC);
	if (!w->cuts || w->stop < 0)
		r = w->cuts ? -errno : -ENOMEM;
	if (r == 0 && size > 0)
		r = reserve(w);
	if (r == 0)
		r = neg_errno(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	if (r == 0) {
		w->channel = pair[0];
		r = start(w);
		if (r == 0)
			*theirs = pair[1];
		else
			close(pair[1]);
	}
	if (r < 0)
		vhost_window_close(w);
	return r;
}

void vhost_window_close(struct vhost_window *w)
{
	const uint64_t one = 1;

	if (w->serving && write(w->stop, &one, sizeof(one)) == sizeof(one))
		pthread_join(w->thread, NULL);
	w->serving = false;
	if (w->base && !w->lost)
		munmap(w->base, w->size);
	w->base = NULL;
	free(w->cuts);
	w->cuts = NULL;
	close_fd(&w->nothing);
	close_fd(&w->channel);
	close_fd(&w->stop);
	close_fd(&w->table);
}

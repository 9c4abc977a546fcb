// SPDX-License-Identifier: BSD-2-Clause
#include "forger.h"

#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/log.h"
#include "mem/cursor.h"

/* A page of guest memory comes back on one queue and is used on another next: the order is the
 * client's, in the other process, where ThreadSanitizer does not see it from here. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:cursor_read\nrace:cursor_write\nrace:cursor_over\n";
}

struct worker {
	struct forger *forger;
	unsigned int queue;
	struct forged forged;
};

static void *start_worker(void *opaque, unsigned int queue)
{
	struct worker *w = calloc(1, sizeof(*w));

	must(w);
	w->forger = opaque;
	w->queue = queue;
	return w;
}

static void stop_worker(void *worker)
{
	free(worker);
}

static uint32_t answer(struct worker *w, const struct virtq_chain *chain)
{
	struct forged *f = &w->forged;
	struct cursor out = cursor_over(chain->out, chain->out_len);
	size_t total = sizeof(f->out) + f->reply_len;
	uint32_t written = 0;

	total = min_t(size_t, total > f->cut ? total - f->cut : 0, chain->out_len);
	if (total > 0) {
		size_t head = min_t(size_t, total, sizeof(f->out));

		cursor_write(&out, &f->out, head);
		if (total > head)
			cursor_write(&out, f->reply, total - head);
		written = (uint32_t)total;
	}
	return written + f->claim;
}

static uint32_t keep(struct worker *w, const struct virtq_chain *chain)
{
	unsigned int i = atomic_fetch_add(&w->forger->places, 1);

	must(i < VHOST_DEFERRED_MAX);
	w->forger->kept[i] = vhost_defer(&w->forger->backend, w->queue, chain, "", 0);
	must(w->forger->kept[i]);
	atomic_fetch_add(&w->forger->nkept, 1);
	return VHOST_DEFERRED;
}

struct later {
	struct forger *forger;
	struct vhost_deferred *chain;
	struct forged forged;
};

static void *answer_later(void *arg)
{
	struct later *l = arg;
	struct forged *f = &l->forged;
	char reply[VHOST_DEFERRED_REPLY];

	f->later(l->forger, f);
	must(sizeof(f->out) + f->reply_len <= sizeof(reply));
	memcpy(reply, &f->out, sizeof(f->out));
	memcpy(reply + sizeof(f->out), f->reply, f->reply_len);
	vhost_finish(l->chain, reply, (uint32_t)(sizeof(f->out) + f->reply_len));
	free(l);
	return NULL;
}

static uint32_t start_later(struct worker *w, const struct virtq_chain *chain)
{
	struct later *l = malloc(sizeof(*l));
	pthread_t thread;

	must(l);
	l->forger = w->forger;
	l->forged = w->forged;
	l->chain = vhost_defer(&w->forger->backend, w->queue, chain, "", 0);
	must(l->chain && pthread_create(&thread, NULL, answer_later, l) == 0);
	pthread_detach(thread);
	return VHOST_DEFERRED;
}

/* A buffer for a notification waits until there is something to say. */
static uint32_t lend_ear(struct worker *w, const struct virtq_chain *chain)
{
	struct forger *forger = w->forger;
	unsigned int i = atomic_fetch_add(&forger->nears, 1) % VHOST_DEFERRED_MAX;

	atomic_store(&forger->ears[i], vhost_defer(&forger->backend, w->queue, chain, "", 0));
	return VHOST_DEFERRED;
}

static void notify(struct forger *forger, const struct forged *f)
{
	unsigned int i = atomic_fetch_add(&forger->said, 1) % VHOST_DEFERRED_MAX;
	struct vhost_deferred *ear;

	/* The front-end gave its buffers before its first request: one is there. */
	while (!(ear = atomic_exchange(&forger->ears[i], NULL)))
		usleep(100);
	vhost_finish(ear, f->notification, f->notification_len);
}

static uint32_t request(void *worker, const struct virtq_chain *chain)
{
	struct worker *w = worker;
	struct forged *f = &w->forged;
	struct cursor in = cursor_over(chain->in, chain->in_len);

	memset(f, 0, offsetof(struct forged, reply));
	f->reply_len = f->cut = f->claim = f->notification_len = 0;
	f->keep = false;
	f->later = NULL;
	f->queue = w->queue;
	if (w->forger->notify_size && w->queue == 1)
		return lend_ear(w, chain);
	if (in.left < sizeof(f->in))
		return 0;
	cursor_read(&in, &f->in, sizeof(f->in));
	f->args_len = min_t(size_t, in.left, sizeof(f->args));
	cursor_read(&in, f->args, f->args_len);
	f->out.unique = f->in.unique;
	f->out.len = sizeof(f->out);
	if (f->in.opcode < FUSE_OPCODE_MAX)
		atomic_fetch_add(&w->forger->requests[f->in.opcode], 1);
	w->forger->forge(w->forger, f);
	if (f->notification_len > 0)
		notify(w->forger, f);
	if (f->later)
		return start_later(w, chain);
	return f->keep ? keep(w, chain) : answer(w, chain);
}

static void disconnected(void *opaque)
{
}

struct forger *forger_new(void)
{
	struct forger *f = mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(f, MAP_FAILED);
	return f;
}

static _Noreturn void serve(struct forger *f)
{
	struct vhost_events events = {.stop_fd = f->stop, .other_fd = -1};

	must(vhost_backend_init(&f->backend, &f->device) == 0);
	if (f->between)
		f->sock = f->between(f, f->sock);
	vhost_backend_serve(&f->backend, f->sock, &events);
	for (unsigned int i = 0; i < atomic_load(&f->nkept); i++)
		vhost_finish(f->kept[i], "", 0);
	for (unsigned int i = 0; i < VHOST_DEFERRED_MAX; i++) {
		if (f->ears[i])
			vhost_finish(f->ears[i], "", 0);
	}
	vhost_backend_destroy(&f->backend);
	_exit(0);
}

int forger_accept(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), sock;

	must(strlen(path) < sizeof(addr.sun_path));
	strcpy(addr.sun_path, path);
	must(bind(listener, (struct sockaddr *)&addr, sizeof(addr)) == 0);
	must(listen(listener, 1) == 0);
	puts("listening");
	fflush(stdout);
	sock = accept(listener, NULL, NULL);
	must(sock >= 0);
	close(listener);
	unlink(path);
	return sock;
}

void forger_start_on(struct forger *f, int sock, int other)
{
	pid_t child;

	log_open("forger", LOG_OFF);
	f->device = (struct vhost_device){
		.start_worker = start_worker,
		.stop_worker = stop_worker,
		.request = request,
		.disconnected = disconnected,
		.opaque = f,
		.shmem_sizes[VHOST_SHMEM_DAX] = f->window_size,
	};
	if (f->window_size) {
		f->device.config = f->config;
		f->device.config_size = VHOST_FRONTEND_TAG_MAX + sizeof(uint32_t);
	}
	if (f->notify_size) {
		memcpy(f->config + sizeof(f->config) - sizeof(f->notify_size), &f->notify_size,
			sizeof(f->notify_size));
		f->device.features = 1ull << VIRTIO_FS_F_NOTIFICATION_BIT;
		f->device.config = f->config;
		f->device.config_size = sizeof(f->config);
	}
	f->sock = sock;
	f->stop = eventfd(0, EFD_CLOEXEC);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(other);
		serve(f);
	}
	f->child = child;
	close(sock);
}

int forger_start(struct forger *f)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	forger_start_on(f, pair[1], pair[0]);
	return pair[0];
}

void forger_leave(struct forger *f)
{
	const uint64_t one = 1;

	must(write(f->stop, &one, sizeof(one)) == sizeof(one));
}

void forger_end(struct forger *f)
{
	int status;

	assert_int_equal(waitpid(f->child, &status, 0), f->child);
	assert_int_equal(status, 0);
	close(f->stop);
	munmap(f, sizeof(*f));
}

void forge_error(struct forged *f, int error)
{
	f->out.error = -error;
	f->out.len = sizeof(f->out);
	f->reply_len = 0;
}

void forge_reply(struct forged *f, const void *bytes, size_t len)
{
	must(len <= sizeof(f->reply));
	memcpy(f->reply, bytes, len);
	f->reply_len = len;
	f->out.len = (uint32_t)(sizeof(f->out) + len);
}

bool forge_default(struct forged *f)
{
	const struct fuse_init_in *in = (const void *)f->args;
	struct fuse_init_out out = {.major = 7, .minor = 45, .max_write = 65536, .max_pages = 16};

	if (f->in.opcode != FUSE_INIT)
		return f->in.opcode == FUSE_FORGET || f->in.opcode == FUSE_BATCH_FORGET ||
			f->in.opcode == FUSE_DESTROY;
	out.flags = in->flags & (FUSE_MAX_PAGES | FUSE_DO_READDIRPLUS | FUSE_EXPORT_SUPPORT);
	forge_reply(f, &out, sizeof(out));
	return true;
}

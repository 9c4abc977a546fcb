// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/versions.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/log.h"
#include "base/util.h"
#include "fs/passthrough/passthrough.h"

/* Of a table that is replaced, its key, and memory in its place. (Its folder's file system and what
 * is there are looked at once, before there is a sandbox.)
 *
 * #syscalls(versions): memfd_create fcntl:1=F_ADD_SEALS fcntl:1=F_OFD_SETLK
 * #syscalls(versions): openat fstat newfstatat pread64 pwrite64 fallocate ftruncate fchmod fchown
 * #syscalls(versions): unlinkat renameat geteuid getegid clock_nanosleep nanosleep poll ppoll */

#define PAGE 4096u

/* How long a server that starts waits for others to leave a poisoned table: they look each
 * second. */
#define OPEN_PATIENCE_MS 3000
/* And how long requests wait at each try; more than it takes a busy host to wake all servers. */
#define PATIENCE_MS 300
/* Tries each second, before they get rarer, and seconds between them then. */
#define TRIES    8
#define SECONDS_RARELY 16

struct versions {
	struct vtable *table;
	struct watch *watch;
	struct vhost_backend *backend;
	struct fs *fs;
	pthread_t thread;
	bool started;
	int wake_fd;
	_Atomic bool stop;
	unsigned int failed; /* tries, since the table was a good one */
	uint64_t region;     /* bytes that front-ends have for it */

	pthread_mutex_t lock; /* of what follows */
	bool due;             /* the front-end has not been asked to map this table */
	bool can;             /* it may be asked, as far as is known */
	uint64_t mapped;      /* bytes of ours that may be there */
	unsigned int drops;   /* times that it was taken away */
};

static void wake(struct versions *v)
{
	const uint64_t one = 1;

	if (write(v->wake_fd, &one, sizeof(one)) < 0)
		log_error("version table: its thread cannot be woken: %s", strerror(errno));
}

static void seal_watcher(void *opaque)
{
	isolation_seal_watcher(opaque);
}

static void start_watch(struct versions *v, const char *path, const struct isolation *isolation)
{
	const struct watch_config config = {
		.table = v->table,
		.path = path,
		.seal = seal_watcher,
		.opaque = (void *)isolation,
	};

	/* Why nobody watches has been logged. */
	watch_start(&v->watch, &config);
	if (!v->watch)
		die("--version-table: %s", strerror(ENOMEM));
	if (!path) {
		v->table->share = watch_share;
		v->table->opaque = v->watch;
	}
}

struct versions *versions_open(const char *where, uint64_t slots,
	const struct isolation *isolation)
{
	struct versions *v = calloc(1, sizeof(*v));
	bool memory = strcmp(where, "memfd") == 0;
	int r;

	if (!v)
		die("--version-table: %s", strerror(ENOMEM));
	pthread_mutex_init(&v->lock, NULL);
	v->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->wake_fd < 0)
		die("--version-table: %s", strerror(errno));
	r = memory ? vtable_make(&v->table, slots ? slots : VTABLE_SLOTS)
		   : vtable_open(&v->table, where, slots, OPEN_PATIENCE_MS);
	/* Why has been logged. */
	if (r < 0)
		die("--version-table: cannot use '%s': %s", where, strerror(-r));
	if (slots && v->table->slots != slots)
		log_warn("--version-slots: '%s' is in use, with %llu slots", where,
			(unsigned long long)v->table->slots);
	start_watch(v, memory ? NULL : where, isolation);
	return v;
}

void versions_close(struct versions *v)
{
	if (!v)
		return;
	watch_end(v->watch);
	vtable_close(v->table);
	close_fd(&v->wake_fd);
	pthread_mutex_destroy(&v->lock);
	free(v);
}

struct vtable *versions_table(struct versions *v)
{
	return v ? v->table : NULL;
}

struct watch *versions_watch(struct versions *v)
{
	return v ? v->watch : NULL;
}

uint64_t versions_region(struct versions *v, uint64_t window)
{
	uint64_t size = window ? window : PAGE;

	if (!v)
		return 0;
	while (size < v->table->bytes)
		size *= 2;
	if (window && size > window)
		die("--dax-window: the version table has %zu bytes, and a VMM that has both can "
		    "have no smaller window", v->table->bytes);
	v->region = size;
	return size;
}

/* Milliseconds to the next whole second. */
static int to_next_second(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return 1 + (int)((999999999 - now.tv_nsec) / 1000000);
}

/* Whether this is a second in which to try. Where there is no table to leave, nobody waits for it
 * but those who want to change something. */
static bool is_due(const struct versions *v)
{
	struct timespec now;

	if (v->failed < TRIES || vtable_is_lost(v->table))
		return true;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec % SECONDS_RARELY == 0;
}

/* Looks after the table: whether it is another one now. */
static bool renew(struct versions *v)
{
	uint8_t before[VT_ID_SIZE];
	int r;

	if (!vtable_is_poisoned(v->table)) {
		v->failed = 0;
		vtable_tick(v->table);
		return false;
	}
	if (!is_due(v))
		return false;
	memcpy(before, v->table->id, sizeof(before));
	watch_leave(v->watch);
	r = vtable_renew(v->table, PATIENCE_MS);
	v->failed = r == 0 ? 0 : v->failed + 1;
	if (r == 0)
		log_info("version table: another one took its place");
	else if (r == -EAGAIN && v->failed == TRIES)
		log_warn("version table: it is poisoned, and not all servers leave it; guests "
			 "trust nothing of it");
	/* Also another one that is poisoned. */
	return memcmp(before, v->table->id, sizeof(before)) != 0;
}

/* Has the front-end map the table; what may be there of an earlier one goes before. One that others
 * have made larger than it was when we started has no room there. */
static int map(struct versions *v, uint64_t mapped)
{
	struct vhost_shmem_change changes[2] = {
		{.region = VHOST_SHMEM_VERSIONS, .len = mapped, .fd = -1},
		{.region = VHOST_SHMEM_VERSIONS, .len = v->table->bytes, .fd = v->table->fd},
	};
	bool fits = v->table->bytes <= v->region;
	unsigned int first = mapped ? 0 : 1, end = fits ? 2 : 1;

	vhost_shmem_apply(v->backend, changes + first, end - first);
	return fits ? changes[1].result : -EFBIG;
}

static void show(struct versions *v, bool other)
{
	uint64_t mapped;
	unsigned int drops;
	bool ask, due = true;
	int r;

	pthread_mutex_lock(&v->lock);
	v->due |= other;
	v->can |= other;
	ask = v->due && v->can;
	v->can = false;
	mapped = v->mapped;
	drops = v->drops;
	pthread_mutex_unlock(&v->lock);
	if (!ask)
		return;
	r = map(v, mapped);
	pthread_mutex_lock(&v->lock);
	if (drops == v->drops) {
		/* Held off, or gone: what it has done is not known, and there will be another
		 * time. Whatever else it says, it will say again. */
		v->due = due = r == -EINTR || r == -ENOTCONN;
		v->mapped = r == 0 || r == -EINTR ? v->table->bytes : 0;
	}
	pthread_mutex_unlock(&v->lock);
	if (r < 0 && !due)
		log_info("the front-end does not map the version table (%s); guests need another "
			 "way to it", strerror(-r));
}

/* Nothing is shown but by time before the epoch moves, so that whoever asks anew is told so. */
static void look_at_watch(struct versions *v)
{
	if (!watch_tick(v->watch))
		return;
	passthrough_watch_lost(v->fs);
	vtable_enter(v->table);
	vtable_bump_epoch(v->table);
	vtable_leave(v->table);
}

static void *look_after(void *arg)
{
	struct versions *v = arg;
	struct pollfd woken = {.fd = v->wake_fd, .events = POLLIN};
	uint64_t count;

	pthread_setname_np(pthread_self(), "versions");
	while (!atomic_load(&v->stop)) {
		show(v, renew(v));
		look_at_watch(v);
		if (poll(&woken, 1, to_next_second()) > 0 &&
			read(v->wake_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
			break;
	}
	return NULL;
}

int versions_start(struct versions *v, const struct versions_world *world)
{
	int r = watch_is_lost(v->watch) ? 0 : watch_join(v->watch);

	if (r < 0)
		log_warn("host processes are not watched: their watcher does not answer (%s)",
			strerror(-r));
	vtable_populate(v->table);
	v->backend = world->backend;
	v->fs = world->fs;
	v->table->proc = world->proc_fd;
	v->due = true;
	r = -pthread_create(&v->thread, NULL, look_after, v);
	v->started = r == 0;
	return r;
}

void versions_stop(struct versions *v)
{
	if (!v || !v->started)
		return;
	atomic_store(&v->stop, true);
	wake(v);
	pthread_join(v->thread, NULL);
	v->started = false;
}

void versions_ready(struct versions *v)
{
	pthread_mutex_lock(&v->lock);
	v->can = true;
	pthread_mutex_unlock(&v->lock);
	wake(v);
}

void versions_dropped(struct versions *v)
{
	pthread_mutex_lock(&v->lock);
	v->due = true;
	v->can = false;
	v->mapped = 0;
	v->drops++;
	pthread_mutex_unlock(&v->lock);
}

void versions_log(struct versions *v)
{
	struct vtable *t = v->table;

	vtable_enter(t);
	log_info("version table: %llu slots%s%s", (unsigned long long)t->slots,
		vtable_is_poisoned(t) ? ", poisoned" : "", vtable_is_lost(t) ? ", lost" : "");
	vtable_leave(t);
}

void versions_metrics(struct versions *v, struct metrics *m)
{
	struct vtable *t = v->table;
	bool good;
	uint64_t slots;

	vtable_enter(t);
	slots = t->slots;
	good = !vtable_is_poisoned(t) && !vtable_is_lost(t);
	vtable_leave(t);
	metrics_family(m, "table_slots", METRIC_GAUGE, "Words of the version table");
	metrics_number(m, slots, "%s", "");
	metrics_family(m, "table_good", METRIC_GAUGE, "Whether guests can trust it");
	metrics_number(m, good, "%s", "");
	metrics_family(m, "table_watched", METRIC_GAUGE,
		"Whether what processes of the host change is told");
	metrics_number(m, !watch_is_lost(v->watch), "%s", "");
	metrics_family(m, "table_host_changes_total", METRIC_COUNTER,
		"Changes by processes of the host that the watcher has passed on");
	metrics_number(m, watch_events(v->watch), "%s", "");
}

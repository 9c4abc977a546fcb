// SPDX-License-Identifier: BSD-2-Clause
/*
 * causewayd: from a command line to a served directory.
 *
 * main() reads options, prepares the process, opens the socket, goes into the sandbox
 * (isolation.h), opens the directory there and serves one front-end after the other: vhost/ turns
 * its messages into threads, one for each ring, which call fuse/ with each request. SIGTERM,
 * SIGINT and SIGHUP end it, SIGUSR1 logs counters.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_fs.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "daemon/control.h"
#include "daemon/counters.h"
#include "daemon/device.h"
#include "daemon/isolation.h"
#include "daemon/listen.h"
#include "daemon/options.h"
#include "daemon/process.h"
#include "daemon/versions.h"
#include "daemon/window.h"
#include "dax/lease.h"
#include "fs/passthrough/passthrough.h"
#include "fuse/pool.h"
#include "fuse/session.h"
#include "vhost/backend.h"

/* #syscalls: read */

#ifndef CAUSEWAY_VERSION
#define CAUSEWAY_VERSION "unknown"
#endif

/* What the configuration space says where a VMM asks us: one request queue, as virtiofsd does;
 * VMMs that offer more decide that themselves. */
#define CONFIG_REQUEST_QUEUES 1

struct daemon {
	struct options options;
	struct fs *fs;
	struct fuse_session session;
	struct vhost_backend backend;
	struct vhost_device device;
	struct device fuse_device;
	struct recorder *recorder; /* or NULL */
	struct dax_window *window; /* or NULL */
	struct versions *versions; /* or NULL */
	struct virtio_fs_config config;
	int stop_fd, counters_fd;
	int share_fd; /* the directory, until it is isolated */
	struct listener listener, control_listener;
	struct counters counters;
	struct control *control; /* or NULL */
};
static struct daemon the_daemon = {.listener.fd = -1, .control_listener.fd = -1};

/* A reset takes what is mapped away, as the end of the front-end does. */
static void window_dropped(struct daemon *d)
{
	if (d->window)
		passthrough_drop_window(d->fs);
	if (d->versions)
		versions_dropped(d->versions);
}

static void guest_reset(void *opaque)
{
	window_dropped(&the_daemon);
	fuse_session_device_reset(&the_daemon.session);
}

static void front_end_gone(void *opaque)
{
	counters_log_nodes(&the_daemon.counters);
	window_dropped(&the_daemon);
	fuse_session_reset(&the_daemon.session);
}

static void front_end_ready(void *opaque)
{
	if (the_daemon.versions)
		versions_ready(the_daemon.versions);
}

/* A region of guest memory that is a file of the export, mapped there by us. */
static bool owns_memory(void *opaque, const struct stat *st)
{
	return the_daemon.window && dax_window_has(the_daemon.window, st);
}

static void log_counters(void *opaque)
{
	struct daemon *d = opaque;
	struct signalfd_siginfo info;

	while (read(d->counters_fd, &info, sizeof(info)) > 0)
		;
	counters_log(&d->counters);
}

static void prepare_process(struct daemon *d)
{
	static const int stops[] = {SIGTERM, SIGINT, SIGHUP};
	static const int counters[] = {SIGUSR1};

	d->stop_fd = process_catch(stops, ARRAY_SIZE(stops));
	d->counters_fd = process_catch(counters, ARRAY_SIZE(counters));
	/* Both come as errors of the system call instead. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	process_limit_descriptors(d->options.rlimit_nofile);
	if (d->options.isolation.leases)
		leases_block_signals();
}

/* Before the socket is made, which nobody shall find where there is nothing to share. */
static void open_share(struct daemon *d)
{
	const char *dir = d->options.shared_dir;

	d->share_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (d->share_fd < 0)
		die("--shared-dir: cannot share '%s': %s", dir, strerror(errno));
}

static void recording_failed(int error)
{
	log_error("--record: recording ends: %s", strerror(error));
}

/* Before the sandbox, which has no such file. */
static void open_recording(struct daemon *d)
{
	const struct options *o = &d->options;
	int r = o->record ? recorder_open(o->record, o->record_data, recording_failed,
				    &d->recorder) : 0;

	if (r < 0)
		die("--record: cannot write '%s': %s", o->record, strerror(-r));
}

/* Before the sandbox, in which FILE has another name or none. Nothing is lost by its being there
 * already should the start fail after it. */
static void open_versions(struct daemon *d)
{
	struct options *o = &d->options;

	if (!o->version_table)
		return;
	d->versions = versions_open(o->version_table, o->version_slots, &o->isolation);
	o->isolation.versions_dir = versions_table(d->versions)->dir;
}

static void open_export(struct daemon *d, const struct isolated *where)
{
	struct options *o = &d->options;
	int r;

	o->passthrough.has_proc_fd = true;
	o->passthrough.proc_fd = where->proc_fd;
	o->passthrough.rooted = o->isolation.sandbox == SANDBOX_NAMESPACE;
	d->window = o->dax_window ? window_new(&d->backend, o->dax_window) : NULL;
	if (o->dax_window && !d->window)
		die("--dax-window: no memory for it");
	o->passthrough.window = d->window;
	o->passthrough.table = versions_table(d->versions);
	o->passthrough.watch = versions_watch(d->versions);
	r = passthrough_new(where->root, &o->passthrough, &d->fs);
	if (r == -EINVAL)
		die("--shared-dir: '%s' is in a pseudo file system, which is never shared",
			o->shared_dir);
	if (r == -EOPNOTSUPP)
		die("--inode-file-handles=mandatory: '%s' has none, or they need more privileges",
			o->shared_dir);
	if (r < 0)
		die("--shared-dir: cannot share '%s': %s", o->shared_dir, strerror(-r));
	if (o->fuse.writeback && !fuse_config_writeback(&o->fuse))
		log_warn("--writeback has no effect with --cache %s, which caches no data",
			o->fuse.cache->name);
	fuse_session_init(&d->session, d->fs, &o->fuse);
	fuse_session_version(&d->session, versions_table(d->versions));
	fuse_session_watch(&d->session, versions_watch(d->versions));
	device_init(&d->fuse_device, &d->session, &d->backend, d->recorder);
	d->config.num_request_queues = CONFIG_REQUEST_QUEUES;
	/* Padded with zeros, and without one where it fills the field. */
	if (o->tag)
		memcpy(d->config.tag, o->tag, strlen(o->tag));
	d->device = (struct vhost_device){
		.start_worker = device_start_worker,
		.stop_worker = device_stop_worker,
		.request = device_request,
		.reset = guest_reset,
		.finish_deferred = device_end_waits,
		.disconnected = front_end_gone,
		.opaque = &d->fuse_device,
		.config = o->tag ? &d->config : NULL,
		.config_size = o->tag ? sizeof(d->config) : 0,
		.shmem_sizes = {
			[VHOST_SHMEM_DAX] = o->dax_window,
			[VHOST_SHMEM_VERSIONS] = versions_region(d->versions, o->dax_window),
		},
		.shmem_ready = front_end_ready,
		.owns_memory = owns_memory,
		.poll_limit_ns = o->poll_us * 1000ull,
		.no_borrowing = o->no_borrowing,
		.no_answering = o->no_answering,
		.no_batching = o->no_batching,
		.no_event_idx = o->no_event_idx,
	};
	r = vhost_backend_init(&d->backend, &d->device);
	if (r < 0)
		die("cannot prepare the device: %s", strerror(-r));
}

/* However the program ends. */
static void close_listeners(void)
{
	listener_close(&the_daemon.listener);
	listener_close(&the_daemon.control_listener);
}

static void open_socket(struct daemon *d)
{
	const struct options *o = &d->options;
	const struct listener_place place = {"socket-path", o->socket_path, o->socket_group, 1};
	struct listener *l = &d->listener;
	char error[300];
	int r = o->socket_path ? listener_open(l, &place, error, sizeof(error))
			       : listener_adopt(l, o->fd, error, sizeof(error));

	atexit(close_listeners);
	if (r < 0)
		die("%s", error);
	if (l->connected && o->keep_listening)
		die("--keep-listening needs a socket that listens; --fd %d is a connection", o->fd);
	if (control_listen(&d->control_listener, o->control_path, error, sizeof(error)) < 0)
		die("%s", error);
}

/* The process that stays outside the sandbox; it has no part in what is served. */
static _Noreturn void stay_outside(struct daemon *d, pid_t child)
{
	const int signals[] = {d->stop_fd, d->counters_fd};
	int status;

	close_fd(&d->share_fd);
	close_fd(&d->listener.fd);
	close_fd(&d->control_listener.fd);
	/* Its lock is the server's: it has to fall when that one dies. */
	versions_close(d->versions);
	status = monitor_run(child, signals, ARRAY_SIZE(signals));
	close_listeners();
	monitor_end_like(status);
}

static void isolate(struct daemon *d)
{
	const struct options *o = &d->options;
	const struct isolation *i = &o->isolation;
	struct isolated where;
	pid_t child = isolation_split(i);

	if (child > 0)
		stay_outside(d, child);
	/* Where names lead from here on, there is no socket of ours. */
	if (i->sandbox != SANDBOX_NONE)
		d->listener.path = d->control_listener.path = NULL;
	isolation_enter(i, d->share_fd, o->shared_dir, &where);
	close_fd(&d->share_fd);
	open_export(d, &where);
	isolation_seal(i, &where);
	if (o->socket_path)
		log_info("listening on %s", o->socket_path);
}

static void start_control(struct daemon *d)
{
	int r;

	d->counters = (struct counters){
		.backend = &d->backend,
		.session = &d->session,
		.fs = d->fs,
		.window = d->window,
		.versions = d->versions,
		.version = CAUSEWAY_VERSION,
		.directory = d->options.shared_dir,
		.tag = d->options.tag,
		.start_ns = clock_ns(CLOCK_MONOTONIC),
	};
	r = control_start(&d->control, &d->control_listener, &d->counters);
	if (r < 0)
		die("--control-path: cannot start its thread: %s", strerror(-r));
}

/* Threads start with what the process has by now. */
static void start_threads(struct daemon *d)
{
	unsigned int n = min_t(unsigned int, d->options.thread_pool_size, FUSE_POOL_THREADS_MAX);
	int r = n > 0 ? fuse_pool_start(&d->session, n) : 0;

	if (r < 0)
		die("--thread-pool-size: cannot start %u threads: %s", n, strerror(-r));
	r = passthrough_start(d->fs);
	if (r < 0)
		die("--dax-window: cannot start its threads: %s", strerror(-r));
	if (d->versions)
		r = versions_start(d->versions, &(struct versions_world){&d->backend, d->fs,
			d->options.passthrough.proc_fd});
	if (r < 0)
		die("--version-table: cannot start its thread: %s", strerror(-r));
	start_control(d);
}

/* Serves front-ends until it is time to end; the exit status. */
static int serve(struct daemon *d)
{
	struct listener *l = &d->listener;
	struct vhost_events events = {
		.stop_fd = d->stop_fd,
		.other_fd = d->counters_fd,
		.other = log_counters,
		.opaque = d,
	};
	bool more;
	int r;

	do {
		CLEANUP_FD int sock = listener_next(l, d->stop_fd);

		if (sock == -EINTR)
			return 0;
		if (sock < 0) {
			log_error("cannot accept a front-end: %s", strerror(-sock));
			return 1;
		}
		log_info("front-end connected");
		r = vhost_backend_serve(&d->backend, sock, &events);
		log_info("front-end disconnected");
		/* Who says nothing is no front-end: another daemon asks whether we are alive. */
		more = d->options.keep_listening || (l->fd >= 0 && !d->backend.heard);
	} while (more && r != -EINTR);
	return r == 0 || r == -EINTR ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct daemon *d = &the_daemon;
	char error[300];
	int status;

	log_open("causewayd", LOG_INFO);
	if (options_parse(&d->options, argc, argv, error, sizeof(error)) < 0)
		die("%s", error);
	if (options_print(&d->options, CAUSEWAY_VERSION))
		return 0;
	log_open("causewayd", d->options.log_level);
	if (d->options.isolation.sandbox != SANDBOX_NONE)
		isolation_close_inherited(d->options.fd);
	status = d->options.syslog ? log_to_syslog() : 0;
	if (status < 0)
		die("--syslog: no system log is listening: %s", strerror(-status));
	prepare_process(d);
	open_share(d);
	open_recording(d);
	open_versions(d);
	open_socket(d);
	isolate(d);
	start_threads(d);
	status = serve(d);
	control_stop(d->control);
	fuse_pool_stop(&d->session);
	versions_stop(d->versions);
	passthrough_free(d->fs);
	if (d->window)
		dax_window_free(d->window);
	versions_close(d->versions);
	vhost_backend_destroy(&d->backend);
	recorder_close(d->recorder);
	xattrmap_free(d->options.xattrmap);
	close_fd(&d->stop_fd);
	close_fd(&d->counters_fd);
	options_free(&d->options);
	return status;
}

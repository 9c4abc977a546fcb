// SPDX-License-Identifier: BSD-2-Clause
//
// `causeway mount`: a virtio-fs export on this machine, without a virtual machine.
//
// The kernel's FUSE client speaks to a server over /dev/fuse; virtio-fs is the same protocol over
// virtqueues. So this program understands next to nothing of it: it is the front-end of a
// vhost-user-fs back-end, and carries each request from the one to the other, unchanged (slot.h),
// on as many threads as there are queues (carry.h).
//
//	start    connect, or spawn a causewayd for the directory; mount; a guard that unmounts if we
//	         are killed; the kernel's INIT, whose answer says how large a slot must be; lanes
//	         that run; then whoever waits for us is told
//	serve    this thread waits for an end: the file system was unmounted, a signal, the back-end
//	         is lost
//	end      the mount is detached, where it is there still, by a thread, as that can take
//	         requests; what is in flight has a while to come back; DESTROY; everything is
//	         closed, which aborts what is left
//
// A back-end that is lost fails every request with ENOTCONN from then on (transport.h). One that
// hangs is waited for at the end, for END_MS after the last of what the kernel had held back; where
// nobody waits for what it would say, less.

#include "mount.h"
#include "carry.h"
#include "session.h"

#include "vhost/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUEUES_DEFAULT 4
#define ANSWER_MS      10000 // of the back-end to each message
#define END_MS         5000
#define END_GONE_MS    1000
#define LOOK_MS        50
#define QUIET_LOOKS    3  // each after LOOK_MS
#define HELD_LOOKS     20 // where the kernel holds writes back
#define CAPTIVE_S      10
// Where the kernel does not say that we write back for it.
#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

struct mount {
	struct mount_options o;
	struct background background;
	struct vhost_captive captive;
	struct transport t;
	bool connected;
	struct point point;
	struct guard guard;
	struct carrier c;
	int fuse_fd, signal_fd;

	pthread_t unmounter;
	bool unmounting;
	bool holds_back; // the kernel, what is written
	_Atomic bool detached;
};

static unsigned int queues(const struct mount_options *o)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	if (o->queues)
		return o->queues;
	return n < 1 ? 1 : n > QUEUES_DEFAULT ? QUEUES_DEFAULT : (unsigned int)n;
}

// A socket to the back-end, or -1 after saying what is wrong.
static int reach(struct mount *m)
{
	AUTO_FREE char *program = m->o.daemon ? format("%s", m->o.daemon) : find_causewayd();
	char error[256];
	int sock, ret;

	if (m->o.is_dir) {
		ret = vhost_spawn(&m->captive, program, m->o.path, m->o.daemon_options.v, &sock,
			error, sizeof(error));
	} else {
		ret = vhost_connect(m->o.source, error, sizeof(error));
		sock = ret;
	}
	if (ret < 0)
		say("mount: %s", error);
	return ret < 0 ? -1 : sock;
}

// A daemon of ours that ended has said why by itself.
static void explain_end(struct mount *m)
{
	int status = vhost_spawn_end(&m->captive, CAPTIVE_S);

	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		say("mount: causewayd cannot be run");
	else if (WIFEXITED(status) && WEXITSTATUS(status))
		say("mount: causewayd ended with status %d", WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		say("mount: causewayd was ended by signal %d", WTERMSIG(status));
}

static int connect_back_end(struct mount *m)
{
	unsigned int n = queues(&m->o);
	struct vhost_frontend_config config = {
		.queues = n,
		.queue_size = CARRY_QUEUE_SIZE,
		.memory = (size_t)n * CARRY_MEMORY,
		.regions = 1,
		.features = VHOST_FRONTEND_FEATURES,
		.protocol = VHOST_FRONTEND_PROTOCOL,
		.timeout_ms = ANSWER_MS,
	};
	int sock = reach(m), ret;

	if (sock < 0)
		return -1;
	ret = transport_open(&m->t, sock, &config, 0);
	m->connected = ret == 0;
	if (ret == 0)
		return 0;
	say("mount: %s: %s", m->o.source, m->t.why);
	explain_end(m);
	return -1;
}

// Signals come as something to read, in whichever thread.
static int take_signals(struct mount *m)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	m->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (m->signal_fd >= 0)
		return 0;
	say("mount: signalfd: %s", strerror(errno));
	return -1;
}

static int begin_session(struct mount *m)
{
	struct session_init init;
	size_t payload;
	bool uring;
	int ret;

	if (session_ask(&init, &m->t, m->fuse_fd, &payload))
		return -1;
	m->holds_back = init.out.flags & FUSE_WRITEBACK_CACHE;
	ret = carry_open(&m->c, &m->t, m->fuse_fd, payload);
	uring = ret == 0 && init.may_uring && !m->o.no_io_uring && uring_open(&m->c) == 0;
	if (ret == 0 && session_answer(&init, &m->t, uring))
		return -1;
	if (ret == 0)
		ret = carry_start(&m->c);
	if (ret == 0)
		return 0;
	say("mount: cannot set up %u queues: %s", m->t.fe.nqueues - 1, strerror(-ret));
	return -1;
}

static int start(struct mount *m)
{
	// We write back what the kernel wants out of its memory: getting memory must not wait for
	// that. (Not everybody may say so.)
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	if (take_signals(m) || connect_back_end(m))
		return -1;
	m->fuse_fd = point_mount(&m->point, &m->o);
	if (m->fuse_fd < 0 || guard_start(&m->guard, &m->point))
		return -1;
	if (begin_session(m))
		return -1;
	if (chdir("/"))
		return -1;
	return background_ready(&m->background);
}

// True for one that ends the mount; SIGUSR1 asks for the counters.
static bool take_signal(struct mount *m)
{
	struct signalfd_siginfo info;

	if (read(m->signal_fd, &info, sizeof(info)) <= 0)
		return false;
	if (info.ssi_signo != SIGUSR1)
		return true;
	say("mount: %s: %lu requests by /dev/fuse, %lu by io_uring", m->o.point,
		(unsigned long)atomic_load(&m->c.by_device),
		(unsigned long)atomic_load(&m->c.by_uring));
	return false;
}

static bool is_lost(struct mount *m)
{
	return atomic_load(&m->t.lost);
}

// Waits for one of the things that end the mount, or a time; true when a signal came.
static bool wait_for_news(struct mount *m, int ms)
{
	struct pollfd fds[] = {
		{.fd = m->signal_fd, .events = POLLIN},
		{.fd = m->c.news_fd, .events = POLLIN},
		{.fd = m->background.log, .events = POLLIN},
		{.fd = is_lost(m) ? -1 : m->t.fe.sock, .events = POLLIN | POLLRDHUP},
	};
	uint64_t n;

	if (poll(fds, 4, ms) < 0)
		return false;
	if (fds[1].revents && read(m->c.news_fd, &n, sizeof(n)) < 0)
		return false;
	if (fds[2].revents)
		background_log(&m->background);
	if (fds[3].revents)
		transport_look(&m->t);
	return fds[0].revents && take_signal(m);
}

// Writes back what the kernel still holds (since 6.18 it only begins to), and detaches the mount.
static void *unmount(void *arg)
{
	struct mount *m = arg;
	int fd;

	if (!is_lost(m) && point_is_there(&m->point)) {
		fd = open(m->point.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0) {
			syncfs(fd);
			close(fd);
		}
	}
	point_detach(&m->point);
	atomic_store(&m->detached, true);
	carry_tell(m->c.news_fd);
	return NULL;
}

// Requests that have come.
static uint64_t came(const struct mount *m)
{
	return atomic_load(&m->c.by_device) + atomic_load(&m->c.by_uring);
}

// Whether nothing is on its way any more: neither with the back-end, nor in the hands of a lane,
// nor before us. A request moves from the kernel to a lane and from there to the back-end, and its
// reply may let the kernel send another; so what was not seen where it was looked for first has
// either been counted as one that came, or its lane is awake.
static bool is_quiet(struct mount *m)
{
	struct pollfd fd = {.fd = m->fuse_fd, .events = POLLIN};
	uint64_t before = came(m);

	if (!atomic_load(&m->detached) || atomic_load(&m->c.busy) ||
		atomic_load(&m->c.in_flight))
		return false;
	if (atomic_load(&m->c.unmounted))
		return true;
	return poll(&fd, 1, 0) == 0 && uring_is_quiet(&m->c) && !atomic_load(&m->c.busy) &&
		came(m) == before;
}

// Gives what is in flight time to end. True when all of it has.
static bool settle(struct mount *m)
{
	const int64_t patience = atomic_load(&m->c.unmounted) ? END_GONE_MS : END_MS;
	int64_t until = session_now_ms() + patience, left;
	const unsigned int looks = m->holds_back ? HELD_LOOKS : QUIET_LOOKS;
	unsigned int quiet = 0;
	uint64_t before = 0, written = 0;

	atomic_store(&m->c.ending, true);
	m->unmounting = !pthread_create(&m->unmounter, NULL, unmount, m);
	if (!m->unmounting)
		unmount(m);
	// What lanes refuse by themselves is no news; so it is looked for now and then. What the
	// kernel hands to an io_uring is not to be seen before the lane's thread runs, nor is what
	// it has been told to write back before its own thread does: quiet is what stays so for a
	// while.
	while (quiet < looks && (left = until - session_now_ms()) > 0) {
		quiet = is_quiet(m) && (quiet == 0 || came(m) == before) ? quiet + 1 : 0;
		// What was written and held back is waited for as long as it comes.
		if (atomic_load(&m->c.written_back) != written)
			until = session_now_ms() + patience;
		written = atomic_load(&m->c.written_back);
		before = came(m);
		if (atomic_load(&m->c.unmounted) && quiet > 0)
			break;
		if (quiet < looks && wait_for_news(m, left < LOOK_MS ? (int)left : LOOK_MS))
			break; // told to hurry
	}
	return is_quiet(m) && !is_lost(m);
}

// A back-end that hangs, or is not to be waited for, is cut off.
static void cut_off(struct mount *m)
{
	transport_lose(&m->t, "it was unmounted");
	shutdown(m->t.fe.sock, SHUT_RDWR);
}

// Closes everything, also after a start that failed halfway. The last descriptor of /dev/fuse that
// is closed fails what the kernel still waits for.
static void stop(struct mount *m, bool clean)
{
	if (m->connected && !clean)
		cut_off(m);
	carry_stop(&m->c);
	if (clean) {
		session_end(&m->t, session_now_ms() + END_MS);
		clean = !is_lost(m);
		if (!clean)
			cut_off(m);
	}
	// A request may have come after all had settled.
	if (m->connected)
		transport_lose(&m->t, "it was unmounted");
	carry_hang_up(&m->c);
	close_fd(&m->fuse_fd);
	if (m->unmounting)
		pthread_join(m->unmounter, NULL);
	carry_close(&m->c);
	if (m->point.path)
		point_detach(&m->point);
	guard_end(&m->guard);
	if (m->connected)
		transport_close(&m->t);
	vhost_spawn_end(&m->captive, clean ? CAPTIVE_S : 0);
	close_fd(&m->signal_fd);
	background_log(&m->background);
}

static int run(struct mount *m)
{
	char why[sizeof(m->t.why)];
	bool lost, clean;

	if (start(m)) {
		stop(m, false);
		return -1;
	}
	while (!atomic_load(&m->c.unmounted) && !is_lost(m))
		if (wait_for_news(m, -1))
			break;
	lost = is_lost(m);
	if (lost) {
		transport_why(&m->t, why, sizeof(why));
		say("mount: %s: %s; unmounted", m->o.point, why);
	}
	clean = settle(m);
	stop(m, clean);
	return lost ? -1 : 0;
}

int cmd_mount(int argc, char **argv)
{
	struct mount m = {.background = {.ready = -1, .log = -1},
		.guard.life = -1,
		.c.news_fd = -1,
		.fuse_fd = -1,
		.signal_fd = -1};
	int status, ret;

	m.o.helper = strcmp(argv[0], "mount") != 0;
	ret = mount_options_parse(&m.o, argc, argv, &status);
	if (ret == 0 && !m.o.fake) {
		status = m.o.helper ? MOUNT_EXIT_HELPER_FAILURE : MOUNT_EXIT_FAILURE;
		if (!m.o.foreground)
			ret = background_enter(&m.background, &status);
		if (ret == 0 && run(&m) == 0)
			status = 0;
	} else if (ret == 0) {
		status = 0;
	}
	mount_options_free(&m.o);
	return status;
}

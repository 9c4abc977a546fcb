// SPDX-License-Identifier: BSD-2-Clause
//
// causeway-init: pid 1 of the guest that `causeway vm` boots.
//
// Theory of operation. The kernel starts us from the initramfs, which holds us, the modules that
// are needed before a root exists and, for the minimal root, busybox. We load the modules, open the
// port to the host, say HELLO and are told by CONF frames what to mount and run. The root is either
// the initramfs or an overlay of a tmpfs over the host's root, served read-only through virtio-fs;
// shares are at /mnt/TAG. Then the command runs as a child with its three streams carried over the
// port (session.c), and when it has ended everything else is killed, the shares are synced and
// unmounted, and EXIT is sent. The host then ends the machine; nothing below us is worth a slow
// shutdown.
//
// We never return: the end of pid 1 is a kernel panic. A failure is told through the port, or on
// the console before that.

#include "init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define PORT_WAIT_MS 30000

static _Noreturn void power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

void link_drain(struct guest *g)
{
	while (g->link.fd >= 0 && g->link.out.len) {
		struct pollfd p = {.fd = g->link.fd, .events = POLLOUT};

		poll(&p, 1, -1);
		if (link_flush(&g->link))
			return;
	}
}

static void say(struct guest *g, enum frame_type type, const char *fmt, va_list ap)
{
	char text[1024];
	int n = vsnprintf(text, sizeof(text), fmt, ap);

	if (n >= (int)sizeof(text))
		n = sizeof(text) - 1;
	if (g->link.fd >= 0) {
		frame_put(&g->link.out, type, 0, text, n);
		link_drain(g);
	} else {
		dprintf(2, "causeway-init: %s\n", text);
	}
}

void die(struct guest *g, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(g, FRAME_FAIL, fmt, ap);
	va_end(ap);
	power_off();
}

void note(struct guest *g, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(g, FRAME_NOTE, fmt, ap);
	va_end(ap);
}

// The port's device is known by its name in sysfs; -ENOENT when it is not there yet.
static int find_port(char *path, size_t size)
{
	DIR *d = opendir("/sys/class/virtio-ports");
	struct dirent *e;
	int ret = -ENOENT;

	if (!d)
		return -errno;
	while (ret && (e = readdir(d))) {
		char file[512], name[64] = "";
		int fd;

		snprintf(file, sizeof(file), "/sys/class/virtio-ports/%s/name", e->d_name);
		fd = open(file, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (read(fd, name, sizeof(name) - 1) > 0 &&
			!strncmp(name, FRAME_PORT "\n", sizeof(FRAME_PORT))) {
			snprintf(path, size, "/dev/%s", e->d_name);
			ret = 0;
		}
		close(fd);
	}
	closedir(d);
	return ret;
}

// The device appears some milliseconds after its driver was loaded, by messages between driver and
// device.
static void open_port(struct guest *g)
{
	char path[512];

	for (int ms = 0; ms < PORT_WAIT_MS; ms++) {
		if (!find_port(path, sizeof(path))) {
			g->link.fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
			if (g->link.fd >= 0)
				return;
		}
		usleep(1000);
	}
	die(g, "the port %s did not appear", FRAME_PORT);
}

static void more_input(struct guest *g)
{
	struct pollfd p = {.fd = g->link.fd, .events = POLLIN | (g->link.out.len ? POLLOUT : 0)};

	if (poll(&p, 1, -1) < 0)
		return;
	if (link_flush(&g->link) || ((p.revents & POLLIN) && link_fill(&g->link))) {
		// Nobody is there to be told; the host may be about to come back.
		usleep(1000);
	}
}

static void greet(struct guest *g)
{
	static const char padding[FRAME_PADDING];
	struct bytes start = {0};
	unsigned char hello[sizeof(uint64_t) + sizeof(struct utsname)];
	struct utsname u;
	size_t n = sizeof(uint64_t);
	void *at;

	if (getrandom(hello, n, GRND_NONBLOCK) != (ssize_t)n) {
		struct timespec ts;

		// Unique among the boots of this machine is enough.
		clock_gettime(CLOCK_REALTIME, &ts);
		memcpy(hello, &ts.tv_nsec, n);
	}
	uname(&u);
	memcpy(hello + n, u.release, strlen(u.release));
	if (bytes_add(&g->link.out, padding, sizeof(padding)) ||
		frame_put(&g->link.out, FRAME_HELLO, 0, hello, n + strlen(u.release)) ||
		frame_put(&start, FRAME_START, 0, hello, n))
		die(g, "out of memory");
	while (!(at = memmem(bytes_head(&g->link.in), g->link.in.len, start.data, start.len))) {
		if (g->link.in.len >= start.len)
			bytes_drop(&g->link.in, g->link.in.len - start.len + 1);
		more_input(g);
	}
	bytes_drop(&g->link.in, (unsigned char *)at - bytes_head(&g->link.in) + start.len);
	bytes_free(&start);
}

static void add_word(struct guest *g, char ***list, size_t *count, char *word)
{
	char **more = reallocarray(*list, *count + 2, sizeof(char *));

	if (!more)
		die(g, "out of memory");
	more[(*count)++] = word;
	more[*count] = NULL;
	*list = more;
}

static void conf_share(struct guest *g, char *value)
{
	if (g->nshares == SHARES_MAX || strlen(value) < 4)
		die(g, "too many shares");
	g->shares[g->nshares++] =
		(struct share){.tag = value + 3, .readonly = !strncmp(value, "ro:", 3)};
}

static struct share *last_share(struct guest *g)
{
	if (!g->nshares)
		die(g, "something is told of a share before the share");
	return &g->shares[g->nshares - 1];
}

static void conf(struct guest *g, const struct frame *f)
{
	char *value = f->len ? strndup((const char *)f->data + 1, f->len - 1) : NULL;
	struct timespec ts = {0};

	if (!value)
		die(g, "out of memory");
	switch (f->data[0]) {
	case CONF_CLOCK:
		if (sscanf(value, "%ld.%ld", &ts.tv_sec, &ts.tv_nsec) == 2)
			clock_settime(CLOCK_REALTIME, &ts);
		break;
	case CONF_ROOT:
		g->root = value;
		break;
	case CONF_KMOD:
		g->kmod = value;
		break;
	case CONF_SHARE:
		conf_share(g, value);
		break;
	case CONF_BIND:
		last_share(g)->bind = value;
		break;
	case CONF_TYPE:
		last_share(g)->type = value;
		break;
	case CONF_DEVICE:
		last_share(g)->device = value;
		break;
	case CONF_OPTIONS:
		last_share(g)->options = value;
		break;
	case CONF_ENV:
		add_word(g, &g->env, &g->envc, value);
		break;
	case CONF_ARG:
		add_word(g, &g->argv, &g->argc, value);
		break;
	case CONF_TTY:
		for (int i = 0; i < 3; i++)
			g->tty[i] = strchr(value, '0' + i);
		break;
	case CONF_MERGE:
		g->merge = true;
		break;
	}
}

static void configure(struct guest *g)
{
	struct frame f;
	size_t n;

	for (;;) {
		while (!(n = frame_get(&g->link.in, FRAME_CONF_MAX, &f)))
			more_input(g);
		if (f.type == FRAME_CONF)
			conf(g, &f);
		else if (f.type == FRAME_WINSIZE && f.len == sizeof(g->winsize))
			memcpy(&g->winsize, f.data, f.len);
		bytes_drop(&g->link.in, n);
		if (f.type == FRAME_GO)
			return;
	}
}

static void set_up_machine(void)
{
	struct rlimit files = {.rlim_cur = 1024, .rlim_max = 1048576};
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	setrlimit(RLIMIT_NOFILE, &files);
	sethostname("causeway", strlen("causeway"));
	if (fd >= 0) {
		ioctl(fd, SIOCSIFFLAGS, &lo);
		close(fd);
	}
}

int main(void)
{
	static struct guest g = {.link.fd = -1};
	unsigned int status;
	sigset_t all;

	// Signals are for the command. Ctrl-Alt-Del is a plain reset.
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	umask(022);
	mount_early(&g);
	load_modules(&g);
	open_port(&g);
	greet(&g);
	configure(&g);
	set_up_machine();
	mount_root(&g);
	mount_shares(&g);
	status = run_command(&g);
	unmount_shares(&g);
	sync();
	frame_put_u32(&g.link.out, FRAME_EXIT, 0, status);
	link_drain(&g);
	// The host takes the machine down on EXIT; this is for a host that is not there any more.
	sleep(5);
	power_off();
}

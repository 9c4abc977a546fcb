// SPDX-License-Identifier: BSD-2-Clause
#include "peer.h"

#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

bool peer_exists(enum peer_kind kind)
{
	return kind == PEER_CAUSEWAYD || access(PEER_C_VIRTIOFSD, X_OK) == 0;
}

/* Sanitizers are for the client here. In the daemon ThreadSanitizer takes a page of guest memory
 * that comes back on one queue and is used on another next for a race, as the order is made by the
 * client; and none of them can live with its sandbox. */
const char *peer_causewayd(void)
{
	static char path[512];
	const char *build = getenv("CAUSEWAY_CHECK_BUILD");

	if (!build || strcmp(build, "plain") == 0)
		return getenv("CAUSEWAYD");
	snprintf(path, sizeof(path), "%s/src/daemon/causewayd", getenv("CAUSEWAY_PLAIN_BUILD"));
	return path;
}

/* QEMU's daemon listens on a socket; it says that it does in no way but by the socket. */
static void start_virtiofsd(struct peer *p)
{
	char source[80], path[96];

	snprintf(p->sock, sizeof(p->sock), "%s.sock", p->dir);
	snprintf(source, sizeof(source), "source=%s", p->dir);
	snprintf(path, sizeof(path), "--socket-path=%s", p->sock);
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 1);
		dup2(null, 2);
		execl(PEER_C_VIRTIOFSD, "virtiofsd", path, "-o", source, "-o", "sandbox=chroot",
			"-o", "xattr", "-o", "posix_lock", "-o", "flock", NULL);
		_exit(127);
	}
	while (causeway_connect(p->c, p->sock) < 0) {
		int status;

		assert_int_equal(waitpid(p->pid, &status, WNOHANG), 0);
		usleep(1000);
	}
}

struct peer *peer_start(enum peer_kind kind, const char *const *options)
{
	struct peer *p = calloc(1, sizeof(*p));
	int r;

	assert_non_null(p);
	p->kind = kind;
	snprintf(p->dir, sizeof(p->dir), "%s/peer-XXXXXX",
		getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(p->dir));
	p->c = causeway_new();
	for (; options && *options; options += 2)
		assert_int_equal(causeway_set(p->c, options[0], options[1]), 0);
	if (kind == PEER_VIRTIOFSD) {
		start_virtiofsd(p);
		return p;
	}
	assert_non_null(peer_causewayd());
	assert_int_equal(causeway_set(p->c, "daemon", peer_causewayd()), 0);
	assert_int_equal(causeway_set(p->c, "daemon-option", "--xattr"), 0);
	r = causeway_share(p->c, p->dir);
	if (r < 0)
		fail_msg("%s", causeway_error(p->c));
	return p;
}

void peer_finish(struct peer *p)
{
	int status;

	causeway_free(p->c);
	if (p->kind == PEER_VIRTIOFSD) {
		assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
		assert_int_equal(status, 0);
		unlink(p->sock);
	}
	assert_int_equal(nftw(p->dir, unit_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	free(p);
}

pid_t peer_serving(struct peer *p)
{
	char path[64];
	uint64_t pid;
	int child;
	FILE *f;

	assert_int_equal(causeway_get(p->c, "daemon-pid", &pid), 0);
	snprintf(path, sizeof(path), "/proc/%u/task/%u/children", (unsigned int)pid,
		(unsigned int)pid);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &child), 1);
	fclose(f);
	return child;
}

int peer_list(struct causeway_file *d)
{
	struct causeway_dirent e;
	int n = 0, r;

	causeway_seekdir(d, 0);
	while ((r = causeway_readdir(d, &e)) == 1)
		n++;
	assert_int_equal(r, 0);
	return n;
}

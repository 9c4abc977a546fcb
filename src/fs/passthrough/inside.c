// SPDX-License-Identifier: BSD-2-Clause
/*
 * Whether a directory is still inside the export, from which the host may have moved it.
 *
 * A guest cannot move one out; it can only hold one that the host moves. What the host says is
 * believed for a while: who moves a directory cannot tell either what a guest did in it just
 * before, and in the middle of a request, between the question and what is done then, it was always
 * possible.
 */
#include <errno.h>

#include "base/clock.h"
#include "fs/passthrough/cred.h"
#include "fs/passthrough/pt.h"
#include "metrics/tally.h"

/* #syscalls: openat statx fcntl:1=F_DUPFD_CLOEXEC readlinkat clock_gettime */

/* Directories above a node that are visited to find the root; deeper ones cannot be exported. */
#define DEPTH_MAX 4096

/* How long a directory that was found below the root is believed to be there still: where one
 * system call tells, and where going up does. To the first comes what the clock is late, a tick of
 * the kernel's: 10 ms at most. */
#define TOLD_NS   20000000
#define WALKED_NS 1000000000

bool pt_same_inode(const struct statx *a, const struct statx *b)
{
	return a->stx_ino == b->stx_ino && a->stx_mnt_id == b->stx_mnt_id &&
		a->stx_dev_major == b->stx_dev_major && a->stx_dev_minor == b->stx_dev_minor;
}

int pt_check_below_root(struct passthrough *pt, int dir_fd)
{
	CLEANUP_FD int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
	struct statx root, here, above;
	int r = pt_stat(pt->root->fd, &root);

	if (fd < 0)
		return -errno;
	if (r == 0)
		r = pt_stat(fd, &here);
	for (int depth = 0; r == 0 && !pt_same_inode(&here, &root); depth++) {
		int up =
			depth < DEPTH_MAX ? openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

		if (up < 0)
			return depth < DEPTH_MAX ? -errno : -ELOOP;
		close(fd);
		fd = up;
		r = pt_stat(fd, &above);
		/* The host's own root is its own parent. */
		if (r == 0 && pt_same_inode(&here, &above))
			return -ESTALE;
		here = above;
	}
	return r;
}

/* Without a mount of our own nothing tells but going up step by step. What cannot be told counts as
 * inside: the host would refuse the operation too. */
static bool is_outside_by_walk(struct passthrough *pt, struct pt_node *dir)
{
	cred_be_daemon();
	return pt_check_below_root(pt, dir->fd) == -ESTALE;
}

/*
 * Where the export is a mount of its own and our root, the kernel does not go up from what is not
 * below that: a directory that was moved out has no "..". Reading that as a symlink, which it never
 * is, asks for nothing more. Who may not search the directory hears nothing of it; the guest's
 * users mostly may, so that most need not become the daemon here.
 */
static bool has_no_way_up(const struct pt_node *dir)
{
	char none;
	ssize_t r = readlinkat(dir->fd, "..", &none, 1);

	if (r < 0 && errno == EACCES) {
		cred_be_daemon();
		r = readlinkat(dir->fd, "..", &none, 1);
	}
	return r < 0 && errno == ENOENT;
}

bool pt_is_outside(struct passthrough *pt, struct pt_node *dir)
{
	bool rooted = pt->config.rooted;
	int64_t now;

	if (dir == pt->root)
		return false;
	/* From before the host is asked. */
	now = (int64_t)clock_ns(CLOCK_MONOTONIC_COARSE);
	if (now < atomic_load_explicit(&dir->inside_until_ns, memory_order_relaxed)) {
		tally_add(TALLY_INSIDE_BELIEVED, 1);
		return false;
	}
	tally_add(TALLY_INSIDE_ASKED, 1);
	if (rooted ? has_no_way_up(dir) : is_outside_by_walk(pt, dir))
		return true;
	if (!pt->config.believes_nothing)
		atomic_store_explicit(&dir->inside_until_ns, now + (rooted ? TOLD_NS : WALKED_NS),
			memory_order_relaxed);
	return false;
}

struct pt_node_ref pt_dir_ref(struct passthrough *pt, uint64_t id)
{
	struct pt_node_ref ref = pt_ref(pt, id);

	if (ref.node && pt_is_outside(pt, ref.node)) {
		pt_cleanup_node(&ref);
		ref = (struct pt_node_ref){.pt = pt, .error = -ESTALE};
	}
	return ref;
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Extended attributes.
 *
 * They are reached by the name of the node's descriptor in /proc/self/fd, whose link leads to the
 * inode itself whatever it is, symlinks included, and no further; nothing is opened. The system
 * calls that take such a name take no directory, so each thread has /proc/self/fd as its working
 * directory (cred.h), which nothing else here looks at.
 */
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "fs/passthrough/cred.h"
#include "fs/passthrough/keep.h"
#include "fs/passthrough/pt.h"
#include "fs/passthrough/version.h"
#include "fs/passthrough/xattr.h"

/* #syscalls(xattr): getxattr listxattr setxattr removexattr
 * #syscalls: fchmodat */

/* The checks before an attribute of a node is touched; from here on the thread is ready to. */
static int prepare(struct passthrough *pt, const struct pt_node_ref *ref)
{
	if (!ref->node)
		return ref->error;
	if (ref->node->barred)
		return -EOPNOTSUPP;
	cred_be_daemon();
	return cred_work_in(pt->proc_fd);
}

/* Where the caller is not in the file's group, an ACL that it sets takes the set-group-id bit away;
 * the host saw the daemon do it, for whom the bit stays. */
static int clear_sgid(struct passthrough *pt, const struct pt_node *node)
{
	struct statx attr;
	int r = pt_stat(node->fd, &attr);

	if (r < 0 || !(attr.stx_mode & S_ISGID))
		return r;
	return neg_errno(fchmodat(pt->proc_fd, pt_fdname(node->fd).s,
		attr.stx_mode & 07777 & ~(mode_t)S_ISGID, 0));
}

int pt_xattr_host_name(const struct passthrough *pt, const char *name, struct xattrmap_name *host)
{
	if (pt->config.xattrmap)
		return xattrmap_client(pt->config.xattrmap, name, host);
	if (strlen(name) >= sizeof(host->s))
		return -ERANGE;
	strcpy(host->s, name);
	return 0;
}

/* #syscalls(xattr): fremovexattr */

#define CAPABILITY "security.capability"

void pt_note_capability(struct passthrough *pt)
{
	struct xattrmap_name host;

	pt->capability[0] = '\0';
	if (pt_xattr_host_name(pt, CAPABILITY, &host) == 0 && strcmp(host.s, CAPABILITY) != 0)
		strcpy(pt->capability, host.s);
}

int pt_clear_capability(const struct passthrough *pt, int fd)
{
	if (!pt->capability[0] || fremovexattr(fd, pt->capability) == 0)
		return 0;
	/* Without CAP_SYS_ADMIN nobody, the guest included, sees what is kept as trusted. */
	return errno == ENODATA || errno == EOPNOTSUPP || errno == EPERM ? 0 : -errno;
}

int pt_setxattr(struct fs *fs, const struct fs_xattr *x)
{
	struct passthrough *pt = pt_of(fs);
	PT_NODE struct pt_node_ref ref = pt_ref(pt, x->node);
	struct xattrmap_name host;
	int r = prepare(pt, &ref);

	if (r == 0)
		r = pt_xattr_host_name(pt, x->name, &host);
	if (r == 0)
		pt_mark(ref.node, VT_NODE_ATTR);
	if (r == 0)
		r = neg_errno(setxattr(pt_fdname(ref.node->fd).s, host.s, x->value, x->size,
			x->flags));
	/* That sets the mode, too. */
	if (r == 0 && strcmp(host.s, "system.posix_acl_access") == 0)
		pt_kept_look(pt, ref.node);
	return r == 0 && x->kill_sgid ? clear_sgid(pt, ref.node) : r;
}

ssize_t pt_getxattr(struct fs *fs, uint64_t node, const char *name, char *buf, size_t size)
{
	struct passthrough *pt = pt_of(fs);
	PT_NODE struct pt_node_ref ref = pt_ref(pt, node);
	struct xattrmap_name host;
	int r = prepare(pt, &ref);

	if (r == 0)
		r = pt_xattr_host_name(pt, name, &host);
	if (r < 0)
		return r;
	pt_look(ref.node, VT_NODE_ATTR);
	return neg_errno(getxattr(pt_fdname(ref.node->fd).s, host.s, buf, size));
}

/* Turns a list of n bytes of the host's names into the guest's, which are no longer. */
static ssize_t guest_names(const struct xattrmap *map, char *list, size_t n)
{
	size_t kept = 0;

	for (size_t at = 0, len; at < n; at += len) {
		const char *name = xattrmap_server(map, list + at);
		size_t guest_len = name ? strlen(name) + 1 : 0;

		len = strlen(list + at) + 1;
		if (name)
			memmove(list + kept, name, guest_len);
		kept += guest_len;
	}
	return (ssize_t)kept;
}

ssize_t pt_listxattr(struct fs *fs, uint64_t node, char *buf, size_t size)
{
	struct passthrough *pt = pt_of(fs);
	PT_NODE struct pt_node_ref ref = pt_ref(pt, node);
	ssize_t n = prepare(pt, &ref);

	if (n == 0)
		pt_look(ref.node, VT_NODE_ATTR);
	if (n == 0)
		n = neg_errno(listxattr(pt_fdname(ref.node->fd).s, buf, size));
	return n > 0 && pt->config.xattrmap ? guest_names(pt->config.xattrmap, buf, (size_t)n) : n;
}

int pt_removexattr(struct fs *fs, uint64_t node, const char *name)
{
	struct passthrough *pt = pt_of(fs);
	PT_NODE struct pt_node_ref ref = pt_ref(pt, node);
	struct xattrmap_name host;
	int r = prepare(pt, &ref);

	if (r == 0)
		r = pt_xattr_host_name(pt, name, &host);
	if (r < 0)
		return r;
	pt_mark(ref.node, VT_NODE_ATTR);
	return neg_errno(removexattr(pt_fdname(ref.node->fd).s, host.s));
}

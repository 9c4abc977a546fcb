// SPDX-License-Identifier: BSD-2-Clause
/*
 * Extensions of requests that create: supplementary groups of the caller, and the labels that a
 * security module of the guest gives the new inode.
 *
 * Each begins with its size and its type. Types up to FUSE_MAX_NR_SECCTX are numbers of labels
 * (struct fuse_secctx_header), each of which follows as a struct fuse_secctx, the name of an
 * extended attribute with its NUL, and the value, padded to 8 bytes.
 */
#include <errno.h>
#include <linux/limits.h>
#include <string.h>

#include "base/util.h"
#include "fuse/request.h"

#define LABEL_PREFIX "security."

/* One label at the front of len bytes: how many it has, or -EINVAL. */
static ssize_t parse_label(struct fs_label *label, const char *bytes, size_t len)
{
	struct fuse_secctx head;
	const char *name = bytes + sizeof(head);
	const char *end;
	size_t all;

	if (len < sizeof(head))
		return -EINVAL;
	memcpy(&head, bytes, sizeof(head));
	len -= sizeof(head);
	end = memchr(name, '\0', min_t(size_t, len, XATTR_NAME_MAX + 1));
	if (!end || strncmp(name, LABEL_PREFIX, strlen(LABEL_PREFIX)) != 0 ||
		name[strlen(LABEL_PREFIX)] == '\0')
		return -EINVAL;
	len -= (size_t)(end + 1 - name);
	if (head.size > len)
		return -EINVAL;
	*label = (struct fs_label){.name = name, .value = end + 1, .size = head.size};
	all = sizeof(head) + (size_t)(end + 1 - name) + head.size;
	return (ssize_t)((all + 7) & ~(size_t)7);
}

static int parse_labels(struct fuse_ext *ext, unsigned int n, const char *bytes, size_t len)
{
	for (unsigned int i = 0; i < n; i++) {
		ssize_t used = parse_label(&ext->labels[i], bytes, len);

		/* Its padding is there: all lengths are multiples of 8. */
		if (used < 0)
			return -EINVAL;
		bytes += used;
		len -= (size_t)used;
	}
	ext->n_labels = n;
	return len == 0 ? 0 : -EINVAL;
}

static int parse_groups(struct fuse_ext *ext, const char *bytes, size_t len)
{
	struct fuse_supp_groups head;

	if (len < sizeof(head))
		return -EINVAL;
	memcpy(&head, bytes, sizeof(head));
	/* Linux sends one. */
	if (head.nr_groups > FS_GROUPS_MAX ||
		len != FUSE_REC_ALIGN(sizeof(head) + head.nr_groups * sizeof(gid_t)))
		return -EINVAL;
	memcpy(ext->groups, bytes + sizeof(head), head.nr_groups * sizeof(gid_t));
	ext->n_groups = head.nr_groups;
	return 0;
}

int fuse_ext_parse(struct fuse_ext *ext, const char *bytes, size_t len, uint64_t allowed)
{
	struct fuse_ext_header head;

	for (; len > 0; bytes += head.size, len -= head.size) {
		uint64_t kind;
		int r;

		if (len < sizeof(head))
			return -EINVAL;
		memcpy(&head, bytes, sizeof(head));
		if (head.size < sizeof(head) || head.size > len || head.size % 8)
			return -EINVAL;
		kind = head.type <= FUSE_MAX_NR_SECCTX ? FUSE_SECURITY_CTX
			: head.type == FUSE_EXT_GROUPS ? FUSE_CREATE_SUPP_GROUP
						       : 0;
		/* Each kind once. */
		if (!(allowed & kind))
			return -EINVAL;
		allowed &= ~kind;
		if (kind == FUSE_SECURITY_CTX)
			r = parse_labels(ext, head.type, bytes + sizeof(head),
				head.size - sizeof(head));
		else
			r = parse_groups(ext, bytes + sizeof(head), head.size - sizeof(head));
		if (r < 0)
			return r;
	}
	return 0;
}

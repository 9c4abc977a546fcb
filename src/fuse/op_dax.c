// SPDX-License-Identifier: BSD-2-Clause
/*
 * SETUPMAPPING and REMOVEMAPPING: ranges of files in the DAX window (dax/dax.h). They name a node;
 * Linux sends no handle with them, since what one process has mapped serves all.
 */
#include <errno.h>
#include <string.h>

#include "fuse/request.h"

int fuse_do_SETUPMAPPING(struct fuse_req *req)
{
	const struct fuse_setupmapping_in *in = req->args;
	const uint64_t known = FUSE_SETUPMAPPING_FLAG_WRITE | FUSE_SETUPMAPPING_FLAG_READ;
	const struct fs_mapping m = {
		.at = in->moffset,
		.offset = in->foffset,
		.len = in->len,
		.write = in->flags & FUSE_SETUPMAPPING_FLAG_WRITE,
	};

	if (!req->se->config.dax)
		return -ENOSYS;
	if (in->flags & ~known || !(in->flags & known))
		return -EINVAL;
	if (m.write && req->se->config.readonly)
		return -EROFS;
	return req->se->fs->ops->setup_mapping(req->se->fs, req->in.nodeid, &m);
}

/* All are removed, whatever is wrong with one of them; the first error is told. */
int fuse_do_REMOVEMAPPING(struct fuse_req *req)
{
	const struct fuse_removemapping_in *in = req->args;
	const char *array = (const char *)(in + 1);
	struct fs *fs = req->se->fs;
	int first = 0;

	if (!req->se->config.dax)
		return -ENOSYS;
	if (in->count == 0 || req->array_len != in->count * sizeof(struct fuse_removemapping_one))
		return -EINVAL;
	for (uint32_t i = 0; i < in->count; i++) {
		struct fuse_removemapping_one one;
		int r;

		memcpy(&one, array + i * sizeof(one), sizeof(one));
		r = fs->ops->remove_mapping(fs, one.moffset, one.len);
		if (first == 0)
			first = r;
	}
	return first;
}

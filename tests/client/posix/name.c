// SPDX-License-Identifier: BSD-2-Clause
/* Names: made, moved, removed. */
#include "over.h"

/* Another name for what is open, or for what a path leads to. */
static int link_handle(struct causeway_file *f, int at, const char *path)
{
	return (int)OVER_AT(at, c, start, causeway_flink(f, start, path));
}

static int link_followed(struct causeway_file *old_start, const char *old_path, int at,
	const char *path)
{
	struct causeway_file *f;
	int r = causeway_open(over_connection(), old_start, old_path, O_PATH, 0, &f);

	if (r < 0)
		return (int)over_result(r);
	r = link_handle(f, at, path);
	causeway_close(f);
	return r;
}

int over_linkat(int old_at, const char *old_path, int at, const char *path, int flags)
{
	struct causeway_file *old_start, *same = over_proc(old_path);

	if (over_start(old_at, &old_start))
		return -1;
	if ((flags & AT_EMPTY_PATH) && *old_path == '\0')
		return link_handle(old_start, at, path);
	if ((flags & AT_SYMLINK_FOLLOW) && same)
		return link_handle(same, at, path);
	if (flags & AT_SYMLINK_FOLLOW)
		return link_followed(old_start, old_path, at, path);
	return (int)OVER_AT(at, c, start, causeway_link(c, old_start, old_path, start, path));
}

int over_unlinkat(int at, const char *path, int flags)
{
	return (int)OVER_AT(at, c, start, causeway_unlink(c, start, path, flags));
}

int over_symlink(const char *target, const char *path)
{
	return (int)OVER_AT(AT_FDCWD, c, start, causeway_symlink(c, target, start, path));
}

ssize_t over_readlinkat(int at, const char *path, char *buf, size_t size)
{
	return OVER_AT(at, c, start, causeway_readlink(c, start, path, buf, size));
}

int over_mkdirat(int at, const char *path, mode_t mode)
{
	return (int)OVER_AT(at, c, start, causeway_mkdir(c, start, path, over_masked(mode)));
}

int over_mknod(const char *path, mode_t mode, dev_t dev)
{
	return (int)OVER_AT(AT_FDCWD, c, start,
		causeway_mknod(c, start, path, over_masked(mode), dev));
}

int over_renameat2(int old_at, const char *old_path, int at, const char *path, unsigned int flags)
{
	struct causeway_file *old_start;

	if (over_start(old_at, &old_start))
		return -1;
	return (int)OVER_AT(at, c, start,
		causeway_rename(c, old_start, old_path, start, path, flags));
}

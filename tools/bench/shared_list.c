// SPDX-License-Identifier: BSD-2-Clause
//
// Listings, for `causeway bench --shared`.

#include "bench.h"
#include "proto/version_wire.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LISTING 65536 // bytes that are asked for

// The directory of the first file, by its components.
static int find_directory(struct shared_turn *turn, char *path)
{
	turn->node = FUSE_ROOT_ID;
	for (char *name = path, *end; (end = strchr(name, '/')); name = end + 1) {
		struct fuse_entry_out entry;
		int ret;

		*end = '\0';
		ret = shared_ask(turn, &REQUEST(FUSE_LOOKUP, turn->node, &entry, sizeof(entry),
						NAME(name)));
		if (ret)
			return ret;
		turn->node = entry.nodeid;
	}
	return 0;
}

int shared_open_listing(struct shared_turn *turn)
{
	struct fuse_open_in in = {.flags = O_RDONLY | O_DIRECTORY};
	struct fuse_open_out opened;
	char path[SHARED_PATH];
	int ret;

	strcpy(path, turn->paths[0]);
	if (!turn->client) {
		*strrchr(path, '/') = '\0';
		turn->fd = openat(turn->root, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return from_call(turn->fd);
	}
	ret = find_directory(turn, path);
	if (ret == 0)
		ret = shared_ask(turn, &REQUEST(FUSE_OPENDIR, turn->node, &opened, sizeof(opened),
						ARGUMENT(in)));
	turn->fh = opened.fh;
	return ret;
}

void shared_close_listing(struct shared_turn *turn)
{
	struct fuse_release_in in = {.fh = turn->fh, .flags = O_RDONLY | O_DIRECTORY};

	if (turn->client)
		shared_ask(turn, &REQUEST(FUSE_RELEASEDIR, turn->node, NULL, 0, ARGUMENT(in)));
	close_fd(&turn->fd);
}

static int list_plainly(int dir, char *entries)
{
	ssize_t n;

	if (lseek(dir, 0, SEEK_SET) < 0)
		return -errno;
	while ((n = getdents64(dir, entries, LISTING)) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *e = (const void *)(entries + at);
			struct stat st;

			if (fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW))
				return -errno;
			at += e->d_reclen;
		}
	}
	return from_call((int)n);
}

static _Thread_local char entries[LISTING] __attribute__((aligned(8)));

static int ask_for_listing(struct shared_turn *turn)
{
	struct fuse_read_in in = {.fh = turn->fh, .size = LISTING};
	struct request r = REQUEST(FUSE_READDIRPLUS, turn->node, entries, sizeof(entries),
		ARGUMENT(in));

	r.least = sizeof(struct fuse_direntplus);
	return shared_ask(turn, &r);
}

// As with LOOKUP, what is counted here is forgotten with the client.
int shared_list(struct shared_turn *turn, size_t file)
{
	return turn->client ? ask_for_listing(turn) : list_plainly(turn->fd, entries);
}

// Takes back what the last listing has counted, and all that was counted before.
static int forget_listed(struct shared_turn *turn)
{
	struct fuse_batch_forget_in in = {.count = 0};
	static _Thread_local struct fuse_forget_one all[LISTING / sizeof(struct fuse_direntplus)];

	for (size_t at = 0; at + sizeof(struct fuse_direntplus) <= sizeof(entries);) {
		const struct fuse_direntplus *e = (const void *)(entries + at);

		if (e->dirent.namelen == 0)
			break;
		if (e->entry_out.nodeid)
			all[in.count++] = (struct fuse_forget_one){e->entry_out.nodeid, UINT64_MAX};
		at += FUSE_DIRENTPLUS_SIZE(e);
	}
	return shared_ask(turn, &REQUEST(FUSE_BATCH_FORGET, 0, NULL, 0, ARGUMENT(in),
					((struct iovec){all, in.count * sizeof(all[0])})));
}

int shared_list_new(struct shared_turn *turn, size_t file)
{
	int ret;

	if (!turn->client)
		return list_plainly(turn->fd, entries);
	memset(entries, 0, sizeof(entries));
	ret = ask_for_listing(turn);
	return ret ? ret : forget_listed(turn);
}

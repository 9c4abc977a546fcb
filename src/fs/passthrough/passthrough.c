// SPDX-License-Identifier: BSD-2-Clause
#include "fs/passthrough/passthrough.h"

#include <errno.h>
#include <sys/resource.h>

#include "fs/passthrough/cred.h"
#include "fs/passthrough/dax.h"
#include "fs/passthrough/io.h"
#include "fs/passthrough/known.h"
#include "fs/passthrough/spare.h"
#include "fs/passthrough/told.h"
#include "fs/passthrough/version.h"
#include "fs/passthrough/xattr.h"

/* A thousand directories that are listed at a time keep what they need. */
#define DIR_BYTES ((size_t)64 << 20)

#define NODE_BYTES_LEAST ((size_t)64 << 20)

static void reset(struct fs *fs)
{
	struct passthrough *pt = pt_of(fs);

	pt_streams_forget(pt, 0);
	pt_handles_reset(pt);
	pt_dax_reset(pt);
	pt_locks_reset(pt);
	pt_nodes_reset(pt);
	pt_seen_clear(&pt->seen);
}

static void count(struct fs *fs, struct fs_count *count)
{
	struct passthrough *pt = pt_of(fs);
	uint32_t nodes = pt->nodes->used, cold = pt->cooled + pt->unopened;
	uint32_t handles = pt->handles->used, spares = pt_spares_count(pt);

	*count = (struct fs_count){
		.nodes = nodes,
		.cold = cold,
		.node_bytes = pt_node_bytes(pt),
		.handles = handles,
		.kept = atomic_load_explicit(&pt->kept, memory_order_relaxed),
		.spares = spares,
		.listing_bytes = pt_dir_pool_bytes(&pt->dirs),
		/* Both change meanwhile. */
		.descriptors = nodes - min_t(uint32_t, cold, nodes) + handles + spares,
		.descriptors_max = pt->fds,
	};
	pt_locks_count(pt, count);
}

static const struct fs_ops ops = {
	.reset = reset,
	.count = count,
	.lookup = pt_lookup,
	.forget = pt_forget,
	.getattr = pt_getattr,
	.setattr = pt_setattr,
	.access = pt_access,
	.statfs = pt_statfs,
	.syncfs = pt_syncfs,
	.readlink = pt_readlink,
	.symlink = pt_symlink,
	.mknod = pt_mknod,
	.mkdir = pt_mkdir,
	.unlink = pt_unlink,
	.rmdir = pt_rmdir,
	.rename = pt_rename,
	.link = pt_link,
	.open = pt_open,
	.create = pt_create,
	.release = pt_release,
	.keep = pt_keep,
	.read = pt_read,
	.write = pt_write,
	.flush = pt_flush,
	.fsync = pt_fsync,
	.syncs_at_once = pt_syncs_at_once,
	.fallocate = pt_fallocate,
	.lseek = pt_lseek,
	.copy_file_range = pt_copy_file_range,
	.get_fileattr = pt_get_fileattr,
	.set_fileattr = pt_set_fileattr,
	.getxattr = pt_getxattr,
	.listxattr = pt_listxattr,
	.setxattr = pt_setxattr,
	.removexattr = pt_removexattr,
	.getlk = pt_getlk,
	.setlk = pt_setlk,
	.end_waits = pt_end_waits,
	.setup_mapping = pt_setup_mapping,
	.remove_mapping = pt_remove_mapping,
	.opens_late = pt_opens_late,
	.is_unsettled = pt_is_unsettled,
	.settle = pt_settle,
	.unmap_all = pt_unmap_all,
	.opendir = pt_opendir,
	.readdir = pt_readdir,
};

/* Opens the shared directory as the root node, which is never forgotten. */
static int open_root(struct passthrough *pt, const char *path)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct statx attr;
	uint64_t id;
	int r;

	if (fd < 0)
		return -errno;
	r = pt_is_barred(fd);
	if (r == 0)
		r = pt_stat(fd, &attr);
	if (r != 0) {
		close(fd);
		return r < 0 ? r : -EINVAL;
	}
	r = pt_node_found(pt, fd, &attr, NULL, NULL, &id);
	if (r == 0)
		pt->root = container_of(idtab_get(pt->nodes, id), struct pt_node, slot);
	if (r == 0 && pt->config.file_handles == PT_FILE_HANDLES_MANDATORY &&
		pt->root->mount->fd < 0)
		return -EOPNOTSUPP;
	return r;
}

/* Renames do not keep out who waits for them to end. */
static void init_rename_lock(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(lock, &attr);
	pthread_rwlockattr_destroy(&attr);
}

/* Descriptors for nodes, handles and locks. */
static uint32_t fair_share(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur > 2 * PT_HANDLES_MAX)
		return 2 * PT_HANDLES_MAX;
	if (files.rlim_cur < 2 * PT_FDS_RESERVED)
		return PT_FDS_RESERVED;
	return (uint32_t)files.rlim_cur - PT_FDS_RESERVED;
}

/* How many of them locks may take: an eighth at most. */
static uint32_t locks_share(const struct passthrough_config *config, uint32_t fds)
{
	return config->locks ? min_t(uint32_t, fds / 8, PT_LOCK_OWNERS_MAX) : 0;
}

/* Where the configuration does not say: an eighth of the machine's memory, which is more than the
 * inodes take that a guest of half its size can remember. */
static size_t default_node_bytes(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);

	return max_t(size_t, pages > 0 && size > 0 ? (size_t)pages / 8 * (size_t)size : 0,
		NODE_BYTES_LEAST);
}

int passthrough_new(const char *path, const struct passthrough_config *config, struct fs **fs)
{
	struct passthrough *pt = calloc(1, sizeof(*pt));
	int r;

	if (!pt)
		return -ENOMEM;
	pt->fs.ops = &ops;
	for (size_t i = 0; i < PT_SHARDS; i++)
		pthread_mutex_init(&pt->shards[i].lock, NULL);
	pt->config = *config;
	if (pt->config.node_bytes == 0)
		pt->config.node_bytes = default_node_bytes();
	pt->fds = fair_share();
	pt_locks_init(pt, locks_share(config, pt->fds));
	pt->fds -= pt->locks.owners_max;
	pt->config.keeps = min_t(unsigned int, config->keeps, pt->fds / 8);
	pt->hot_max = pt->fds / 2;
	if (cred_reads_all())
		pt->spares = pt_spares_new(min_t(uint32_t, config->spares, pt->fds / 8));
	init_rename_lock(&pt->rename_lock);
	pthread_mutex_init(&pt->hot_lock, NULL);
	pthread_mutex_init(&pt->mount_lock, NULL);
	pthread_mutex_init(&pt->streams.lock, NULL);
	pt_dir_pool_init(&pt->dirs, config->dir_bytes ? config->dir_bytes : DIR_BYTES);
	pt->guesses = config->table ? pt_guesses_new() : NULL;
	pt->told = config->table && !config->opens_names ? pt_told_new() : NULL;
	pt->known = config->opens_names ? NULL : pt_known_new();
	/* Who does not say what he opens has it open from when it is found. */
	if (!config->starts_hot && !config->no_open &&
		config->file_handles != PT_FILE_HANDLES_MANDATORY)
		pt_seen_init(&pt->seen, pt->guesses);
	pt->nodes = idtab_new(sizeof(struct pt_node), UINT32_MAX, pt_node_destroy, pt);
	pt->handles = idtab_new(sizeof(struct pt_handle), pt->fds / 2, pt_handle_destroy, pt);
	pt->proc_fd = config->has_proc_fd ? config->proc_fd
					  : open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = pt->proc_fd < 0 ? -errno : pt->nodes && pt->handles ? 0 : -ENOMEM;
	if (r == 0)
		r = open_root(pt, path);
	if (r < 0) {
		passthrough_free(&pt->fs);
		return r;
	}
	cred_init();
	if (config->keeps_no_rights)
		cred_keep_none();
	pt_note_capability(pt);
	pt->labels_by_kernel = pt_labels_by_kernel(pt);
	*fs = &pt->fs;
	return 0;
}

int passthrough_start(struct fs *fs)
{
	return pt_dax_start(pt_of(fs));
}

void passthrough_watch_lost(struct fs *fs)
{
	pt_mounts_watch_lost(pt_of(fs));
}

void passthrough_free(struct fs *fs)
{
	struct passthrough *pt = pt_of(fs);

	if (pt->root) {
		reset(fs);
		pt_dax_stop(pt);
		close_fd(&pt->root->fd);
	}
	idtab_free(pt->handles);
	idtab_free(pt->nodes);
	pt_locks_destroy(pt);
	pt_told_free(pt->told);
	pt_known_free(pt->known);
	pt_spares_free(pt->spares);
	pt_seen_destroy(&pt->seen);
	pt_guesses_free(pt->guesses);
	pt_mounts_free(pt);
	pthread_mutex_destroy(&pt->mount_lock);
	pthread_mutex_destroy(&pt->streams.lock);
	pthread_mutex_destroy(&pt->dirs.lock);
	pthread_mutex_destroy(&pt->hot_lock);
	pthread_rwlock_destroy(&pt->rename_lock);
	free(pt->hot);
	close_fd(&pt->proc_fd);
	for (size_t i = 0; i < PT_SHARDS; i++) {
		pthread_mutex_destroy(&pt->shards[i].lock);
		free(pt->shards[i].buckets);
	}
	free(pt);
}

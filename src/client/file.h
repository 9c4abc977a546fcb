// SPDX-License-Identifier: BSD-2-Clause
/*
 * Handles: an open file or directory, or (O_PATH) only the place.
 */
#ifndef CLIENT_FILE_H
#define CLIENT_FILE_H

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "client/client.h"
#include "client/walk.h"

struct lock_owner {
	uint64_t number;
	bool has_locked;
};

struct causeway_file {
	struct causeway *c;
	struct node *node;
	_Atomic int flags; /* of open(), or of setfl() since */
	bool open;         /* fh is to be released */
	uint64_t fh;
	bool keeps_data; /* of the file: what is read may be kept, what is written may wait */
	bool in_window;  /* its file may be in the window */
	_Atomic bool has_written; /* a WRITE was sent: see through.c */
	_Atomic off_t asked_end;  /* where the last request beside the window ended */
	_Atomic off_t read_end;       /* where the last read that brought something ended */
	_Atomic unsigned int ahead;   /* pages to read beside those that are wanted */
	pthread_mutex_t lock; /* of all that follows */
	off_t position;       /* of a file */
	char *listing;        /* of a directory: what READDIR brought last */
	bool plus;            /* READDIRPLUS is wanted */
	bool entries;         /* it has been, for what is in listing */
	bool words;           /* and its entries have those, of epoch */
	size_t at, len;
	uint64_t asof; /* the count of changes when it was asked for */
	uint64_t epoch;
	uint64_t next; /* what follows the last entry that was taken */
	struct listing *kept; /* what came since the beginning, to be kept; or NULL */
	struct lock_owner *owners; /* who locks through this handle; see lock.c */
	size_t nowners;
	uint64_t flock_owner; /* or 0: it has no lock of flock(2) */
};

/* Where a relative path begins: the root for NULL. */
static inline struct node *start_of(struct causeway_file *at)
{
	return at ? at->node : NULL;
}

/* The flags to tell the back-end: what only concerns the way to the file is not its business. */
static inline uint32_t client_open_flags(const struct causeway_file *f)
{
	return (uint32_t)f->flags & ~(uint32_t)(O_CREAT | O_EXCL | O_NOCTTY | O_CLOEXEC);
}

/* Whether a handle is one of a file that is open, and not in this mode: 0, -EBADF or -EISDIR.
 * (space.c) */
int client_check_open(struct causeway_file *f, int not_mode);

/* One WRITE: how many bytes, or -errno. (data.c) */
ssize_t client_write_once(struct causeway_file *f, const struct iovec *iov, unsigned int n,
	size_t size, off_t offset);

/* Drops what is left of a listing, with the lookups in it. Under the lock, or by who closes. */
void client_drop_listing(struct causeway_file *f);

/* What a path names, with a reference; and the handle where that is the handle's own file, which
 * its open file knows best. */
struct target {
	struct node *node;
	struct causeway_file *file;
};

/* flags: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH. */
int client_target(struct causeway *c, struct causeway_file *at, const char *path, int flags,
	struct target *t);

/* A SETATTR of what in->valid says, through the open file where there is one. (setattr.c) */
int client_setattr(struct causeway *c, struct node *node, struct causeway_file *f,
	struct fuse_setattr_in *in);

/* ... of the length; only of the length. */
int client_set_size(struct causeway *c, struct node *node, struct causeway_file *f, uint64_t size);

/* Takes set-id bits off a file whose content changes, where the back-end does not do that by
 * itself. (setattr.c) */
int client_strip_priv(struct causeway_file *f);

/* Whether who changes the content takes set-id bits off: all but root do. */
static inline bool client_kills_priv(const struct causeway *c)
{
	return c->options.uid != 0;
}

void client_to_stat(const struct fuse_attr *a, struct stat *st);

/* Attributes that are not to be shown, but to know the length by: their times may be old. */
int client_know_attr(struct causeway *c, struct node *node, struct causeway_file *f,
	struct fuse_attr *attr);

/* GETATTR, with the file's handle where there is one. */
int client_getattr(struct causeway *c, struct node *node, struct causeway_file *f,
	struct fuse_attr *attr);

#endif

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Listings, of names alone or with attributes. A piece of one is copied whole, then checked entry
 * by entry: lengths and names are the back-end's word.
 *
 * With attributes (READDIRPLUS) each entry is a lookup that the back-end counts. It is taken when
 * the program takes the entry, and given back with the node; entries that the program never takes
 * are forgotten when their piece goes.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "client/file.h"
#include "client/listing.h"

#define LISTING_SIZE 32768u

/* An entry of a listing, as it was found there. */
struct listed {
	struct fuse_entry_out entry; /* without a node where there is none to it */
	uint64_t ino, next;
	unsigned int type;
	const char *name;
	size_t name_len;
	size_t size; /* of all of it */
};

static bool sensible_name(const char *name, size_t len)
{
	return len > 0 && len <= NAME_MAX && !memchr(name, '/', len) && !memchr(name, '\0', len);
}

/* Looks at the next entry of the listing: 1, or -EPROTO. */
static int look_at(const char *at, size_t left, bool plus, struct listed *e)
{
	size_t head = plus ? sizeof(e->entry) : 0;
	struct fuse_dirent d;

	e->entry.nodeid = 0;
	if (left < head + FUSE_NAME_OFFSET)
		return -EPROTO;
	memcpy(&e->entry, at, head);
	memcpy(&d, at + head, FUSE_NAME_OFFSET);
	e->name = at + head + FUSE_NAME_OFFSET;
	e->name_len = d.namelen;
	if (e->name_len > left - head - FUSE_NAME_OFFSET || !sensible_name(e->name, e->name_len))
		return -EPROTO;
	e->ino = d.ino;
	e->next = d.off;
	e->type = d.type & 15;
	e->size = min_t(size_t, left, head + FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + e->name_len));
	return 1;
}

static int look(const struct causeway_file *f, struct listed *e)
{
	return look_at(f->listing + f->at, f->len - f->at, f->entries, e);
}

void client_drop_listing(struct causeway_file *f)
{
	struct listed e;

	for (; f->at < f->len && look(f, &e) == 1; f->at += e.size) {
		if (e.entry.nodeid)
			node_forget(f->c, e.entry.nodeid);
	}
	f->at = f->len = 0;
}

/* Whether the next piece is one that is kept; then it has come. */
static bool fetch_kept(struct causeway_file *f)
{
	const struct cache_mode *mode = f->c->options.cache;
	struct fuse_attr attr;
	ssize_t len;

	/* Attributes of what is listed come with entries only. */
	if (!mode->keeps || (f->plus && !mode->for_ever))
		return false;
	/* Those that are not believed any more may say that the listing is another. */
	if (mode->looks && client_getattr(f->c, f->node, NULL, &attr) < 0)
		return false;
	f->asof = atomic_load(&f->c->nodes.changes);
	len = listing_copy(f->c, f->node, f->next, f->listing, LISTING_SIZE);
	if (len < 0)
		return false;
	f->entries = false;
	f->at = 0;
	f->len = (size_t)len;
	return true;
}

/* What the piece after this one will be asked for with: what follows its last entry. */
static uint64_t next_of(const struct causeway_file *f)
{
	uint64_t next = f->next;
	struct listed e;

	for (size_t at = 0; at < f->len; at += e.size) {
		if (look_at(f->listing + at, f->len - at, false, &e) < 0)
			break;
		next = e.next;
	}
	return next;
}

static int fetch(struct causeway_file *f)
{
	size_t room = min_t(size_t, LISTING_SIZE, f->c->session.max_data);
	struct fuse_read_in in = {
		.fh = f->fh,
		.offset = f->next,
		.size = (uint32_t)room,
		.flags = client_open_flags(f),
	};
	struct call call = {
		.opcode = f->plus ? FUSE_READDIRPLUS : FUSE_READDIR,
		.nodeid = f->node->id,
		.args = {CALL_STRUCT(in)},
		.nargs = 1,
		.ntake = 1,
	};
	struct iovec take;
	int r;

	if (!f->listing)
		f->listing = malloc(LISTING_SIZE);
	if (!f->listing)
		return client_fail(f->c, -ENOMEM, "no memory for a listing");
	if (fetch_kept(f))
		return 0;
	/* A listing of names that begins at the beginning. */
	if (f->plus || f->next == 0) {
		listing_free(f->c, f->kept);
		f->kept = f->plus ? NULL : listing_begin(f->c, f->node);
	}
	take = (struct iovec){f->listing, room};
	call.take = &take;
	r = client_call(f->c, &call);
	f->at = 0;
	f->len = r < 0 ? 0 : call.taken;
	f->asof = call.asof;
	f->entries = f->plus;
	if (r == 0 && f->kept)
		listing_add(f->c, f->node, &f->kept, in.offset, f->listing, f->len, next_of(f));
	return r;
}

/* Takes the next entry: 1, 0 at the end. Under the handle's lock. */
static int take_entry(struct causeway_file *f, bool plus, struct listed *e,
	struct causeway_dirent *entry)
{
	int r = 0;

	if (f->plus != plus)
		client_drop_listing(f);
	f->plus = plus;
	if (f->at == f->len)
		r = fetch(f);
	if (r < 0 || f->len == 0)
		return r;
	r = look(f, e);
	if (r < 0) {
		f->at = f->len = 0;
		return client_fail(f->c, r, "the back-end's reply to %s is malformed: it holds "
					    "something that is no name",
			trace_opcode_name(plus ? FUSE_READDIRPLUS : FUSE_READDIR));
	}
	entry->ino = e->ino;
	entry->offset = e->next;
	entry->type = e->type;
	memcpy(entry->name, e->name, e->name_len);
	entry->name[e->name_len] = '\0';
	f->at += e->size;
	f->next = e->next;
	return 1;
}

static int check_dir(struct causeway_file *f)
{
	if (f->node->type == S_IFDIR && !(f->flags & O_PATH))
		return 0;
	return client_fail(f->c, f->flags & O_PATH ? -EBADF : -ENOTDIR,
		"only an open directory is listed");
}

EXPORT int causeway_readdir(struct causeway_file *f, struct causeway_dirent *entry)
{
	struct listed e;
	int r = check_dir(f);

	if (r < 0)
		return r;
	pthread_mutex_lock(&f->lock);
	r = take_entry(f, false, &e, entry);
	pthread_mutex_unlock(&f->lock);
	return r;
}

/* Attributes that came with an entry: they are news but for what we changed since. */
static int stat_entry(struct causeway_file *f, const char *name,
	const struct fuse_entry_out *entry, uint64_t asof, struct stat *st)
{
	struct fuse_attr attr = entry->attr;
	struct node *node;
	int r = node_take(f->c, "READDIRPLUS", entry, asof, &node);

	if (r < 0)
		return r;
	entry_learn(f->c, f->node, name, node,
		cache_validity(f->c, entry->entry_valid, entry->entry_valid_nsec), asof);
	if (node_has_changed(f->c, node, asof))
		r = client_getattr(f->c, node, NULL, &attr);
	node_put(f->c, node);
	if (r == 0)
		client_to_stat(&attr, st);
	return r < 0 ? r : 1;
}

static int find(struct causeway_file *f, const char *name, struct node **node)
{
	bool up = strcmp(name, "..") == 0;

	if (strcmp(name, ".") == 0 || (up && f->node->id == FUSE_ROOT_ID)) {
		*node = node_ref(f->c, f->node);
		return 0;
	}
	return walk_lookup(f->c, f->node, name, node);
}

/* ... that did not come with it, as "." and ".." have none: one asks. */
static int stat_name(struct causeway_file *f, const struct causeway_dirent *entry, struct stat *st)
{
	struct fuse_attr attr;
	struct node *node;
	int r = find(f, entry->name, &node);

	if (r == 0) {
		r = client_getattr(f->c, node, NULL, &attr);
		node_put(f->c, node);
	}
	if (r == 0)
		client_to_stat(&attr, st);
	else if (r != -ENOTCONN && r != -EPROTO)
		/* It has gone since, or nobody may look. */
		*st = (struct stat){.st_ino = entry->ino, .st_mode = DTTOIF(entry->type)};
	else
		return r;
	return 1;
}

EXPORT int causeway_readdirplus(struct causeway_file *f, struct causeway_dirent *entry,
	struct stat *st)
{
	struct listed e;
	uint64_t asof;
	int r = check_dir(f);

	if (r < 0)
		return r;
	pthread_mutex_lock(&f->lock);
	r = take_entry(f, f->c->session.flags & FUSE_DO_READDIRPLUS, &e, entry);
	asof = f->asof;
	pthread_mutex_unlock(&f->lock);
	if (r <= 0)
		return r;
	return e.entry.nodeid ? stat_entry(f, entry->name, &e.entry, asof, st)
			      : stat_name(f, entry, st);
}

EXPORT void causeway_seekdir(struct causeway_file *f, uint64_t offset)
{
	pthread_mutex_lock(&f->lock);
	client_drop_listing(f);
	f->next = offset;
	pthread_mutex_unlock(&f->lock);
}

EXPORT uint64_t causeway_telldir(struct causeway_file *f)
{
	uint64_t next;

	pthread_mutex_lock(&f->lock);
	next = f->next;
	pthread_mutex_unlock(&f->lock);
	return next;
}

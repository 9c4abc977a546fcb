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
#include "client/notify.h"

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

/* Looks at the next entry of the listing, which consists of names, or of entries: 1, or -EPROTO. */
static int look_at(const char *at, size_t left, bool entries, struct listed *e)
{
	size_t head = entries ? sizeof(e->entry) : 0;
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
	e->size = head + FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + e->name_len);
	e->size = min_t(size_t, left, e->size);
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
	if (!mode->keeps || (f->plus && mode->looks))
		return false;
	/* Those that are not believed any more may say that the listing is another. */
	if (mode->looks && client_getattr(f->c, f->node, NULL, &attr) < 0)
		return false;
	client_hear(f->c);
	f->asof = atomic_load(&f->c->nodes.changes);
	len = listing_copy(f->c, f->node, f->next, f->listing, LISTING_SIZE);
	if (len < 0)
		return false;
	f->entries = false;
	f->at = 0;
	f->len = (size_t)len;
	return true;
}

/* Adds what came to the listing that is to be kept: names alone, as attributes are kept with the
 * nodes. */
static void keep(struct causeway_file *f, const struct call *call, uint64_t offset)
{
	struct listing_piece piece = {
		.offset = offset,
		.next = f->next,
		.valid = cache_validity(f->c, call, VT_NODE_LIST, 0, 0),
	};
	/* The last one need not be padded. */
	char *names = malloc(f->len + sizeof(uint64_t));
	bool good = names;
	struct listed e;

	for (size_t at = 0; good && at < f->len; at += e.size) {
		good = look_at(f->listing + at, f->len - at, f->entries, &e) == 1;
		if (!good)
			break;
		memcpy(names + piece.len, e.name - FUSE_NAME_OFFSET, FUSE_NAME_OFFSET + e.name_len);
		piece.len += FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + e.name_len);
		piece.next = e.next;
	}
	piece.bytes = names;
	if (good) {
		listing_add(f->c, f->node, &f->kept, &piece);
	} else {
		listing_free(f->c, f->kept);
		f->kept = NULL;
	}
	free(names);
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
	/* One that begins at the beginning. */
	if (f->next == 0) {
		listing_free(f->c, f->kept);
		f->kept = listing_begin(f->c, f->node);
	}
	take = (struct iovec){f->listing, room};
	call.take = &take;
	r = client_call(f->c, &call);
	f->at = 0;
	f->len = r < 0 ? 0 : call.taken;
	f->asof = call.asof;
	f->entries = f->plus;
	f->words = call.words.came;
	f->epoch = words_epoch(&call.words);
	if (r == 0 && f->kept)
		keep(f, &call, in.offset);
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

/* What the piece was that an entry came in. */
struct source {
	uint64_t asof, epoch;
	bool words;
};

/* Of what an entry says of its name or its attributes. */
static struct validity valid_of(struct causeway *c, const struct source *from, uint64_t valid,
	uint32_t nanoseconds)
{
	const struct vt_look look = vt_entry_look(valid, nanoseconds);

	return from->words ? words_look(c, from->epoch, &look) :
			     cache_validity(c, NULL, 0, valid, nanoseconds);
}

/* Attributes that came with an entry: they are news but for what we changed since. */
static int stat_entry(struct causeway_file *f, const char *name, const struct listed *e,
	const struct source *from, struct stat *st)
{
	const struct fuse_entry_out *entry = &e->entry;
	struct fuse_attr attr = entry->attr;
	uint64_t asof = from->asof;
	struct node *node;
	int r = node_take(f->c, "READDIRPLUS", entry,
		valid_of(f->c, from, entry->attr_valid, entry->attr_valid_nsec),
		asof, &node);

	if (r < 0)
		return r;
	entry_learn(f->c, f->node, name, node,
		valid_of(f->c, from, entry->entry_valid, entry->entry_valid_nsec),
		asof);
	/* A piece of a listing is used up later; by its words it is known what still is so. */
	if (from->words || node_has_changed(f->c, node, asof))
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
	struct source from;
	struct listed e;
	int r = check_dir(f);

	if (r < 0)
		return r;
	pthread_mutex_lock(&f->lock);
	r = take_entry(f, f->c->session.flags & FUSE_DO_READDIRPLUS, &e, entry);
	from = (struct source){.asof = f->asof, .epoch = f->epoch, .words = f->words};
	pthread_mutex_unlock(&f->lock);
	if (r <= 0)
		return r;
	return e.entry.nodeid ? stat_entry(f, entry->name, &e, &from, st)
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

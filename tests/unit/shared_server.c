// SPDX-License-Identifier: BSD-2-Clause
#include "shared_world.h"

#include "unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/version_rows.h"

#define DEV 1

/* Of the back-end's process. */
static struct shared_world *world;
static struct vtable *table;
static _Atomic bool agreed; /* words mean something; once it was, there is room for them */
static _Atomic bool framed;

static uint32_t slot(enum vtable_kind kind, uint64_t ino)
{
	return vtable_slot(table, kind, DEV, ino);
}

/* One request as it is served. */
struct serving {
	struct forged *f;
	struct vtable_request v;
	uint64_t ino;
	char out[FORGER_ROOM];
	size_t len;
};

static struct world_inode *inode(uint64_t ino)
{
	return &world->both->inodes[ino];
}

static struct fuse_attr attr_of(uint64_t ino)
{
	return (struct fuse_attr){.ino = ino, .mode = inode(ino)->mode, .nlink = 1,
		.size = inode(ino)->size};
}

static void look(struct serving *s, unsigned int bit, uint32_t at)
{
	uint32_t flags = world->both->fault == ALL_TIMED ? VT_TIMED : 0;

	vtable_request_look(&s->v, (struct vtable_operand){.bit = bit, .slot = at, .flags = flags});
}

static void mark(struct serving *s, unsigned int bit, uint32_t at)
{
	vtable_request_mark(&s->v, &(struct vtable_operand){.bit = bit, .slot = at}, 1);
}

static struct world_name *find(uint64_t dir, const char *name)
{
	for (size_t i = 0; i < INODES; i++) {
		struct world_name *n = &world->both->names[i];

		if (n->ino && n->dir == dir && strcmp(n->name, name) == 0)
			return n;
	}
	return NULL;
}

static void put(struct serving *s, const void *bytes, size_t len)
{
	must(s->len + len <= sizeof(s->out));
	memcpy(s->out + s->len, bytes, len);
	s->len += len;
}

static void put_entry(struct serving *s, uint64_t ino)
{
	struct fuse_entry_out entry = {.nodeid = ino};

	if (ino)
		entry.attr = attr_of(ino);
	put(s, &entry, sizeof(entry));
}

static int do_lookup(struct serving *s)
{
	const char *name = s->f->args;
	struct world_name *n;

	look(s, VT_NAME, vtable_slot_of_name(table, DEV, s->ino, name));
	if (!(inode(s->ino)->mode & 0111) && world->both->fault != FINDS_ANYWAY)
		return EACCES;
	n = find(s->ino, name);
	if (n)
		look(s, VT_CHILD_ATTR, slot(VTABLE_ATTR, n->ino));
	put_entry(s, n ? n->ino : 0);
	return 0;
}

static int do_getattr(struct serving *s)
{
	struct fuse_attr_out out = {.attr_valid = 0};

	look(s, VT_NODE_ATTR, slot(VTABLE_ATTR, s->ino));
	out.attr = attr_of(s->ino);
	put(s, &out, sizeof(out));
	return 0;
}

static int do_setattr(struct serving *s)
{
	const struct fuse_setattr_in *in = (const void *)s->f->args;
	struct fuse_attr_out out = {.attr_valid = 0};

	mark(s, VT_NODE_ATTR, slot(VTABLE_ATTR, s->ino));
	if (in->valid & FATTR_SIZE)
		mark(s, VT_NODE_DATA, slot(VTABLE_DATA, s->ino));
	if (in->valid & FATTR_MODE)
		inode(s->ino)->mode = in->mode;
	if (in->valid & FATTR_SIZE)
		inode(s->ino)->size = in->size;
	out.attr = attr_of(s->ino);
	vtable_request_settle(&s->v);
	if (!vtable_request_was_alone(&s->v, VT_NODE_ATTR))
		look(s, VT_NODE_ATTR, slot(VTABLE_ATTR, s->ino));
	put(s, &out, sizeof(out));
	return 0;
}

static void mark_name(struct serving *s, const char *name)
{
	mark(s, VT_NODE_ATTR, slot(VTABLE_ATTR, s->ino));
	mark(s, VT_NODE_LIST, slot(VTABLE_LIST, s->ino));
	mark(s, VT_NAME, vtable_slot_of_name(table, DEV, s->ino, name));
}

static int do_make(struct serving *s)
{
	bool opens = s->f->in.opcode == FUSE_CREATE;
	const char *name = s->f->args + (opens ? sizeof(struct fuse_create_in) :
						 sizeof(struct fuse_mkdir_in));
	struct fuse_open_out open = {.fh = 1};
	struct world_name *n = NULL;

	if (find(s->ino, name))
		return EEXIST;
	mark_name(s, name);
	if (world->both->fault == OVERLAP) {
		inode(s->ino)->mode = S_IFDIR | 0600;
		vtable_pass_on(table, slot(VTABLE_ATTR, s->ino));
	}
	for (uint64_t i = FREE_INODE; i < INODES && !n; i++)
		n = world->both->names[i].ino ? NULL : &world->both->names[i];
	must(n);
	*n = (struct world_name){.dir = s->ino, .ino = (uint64_t)(n - world->both->names)};
	strcpy(n->name, name);
	mark(s, VT_CHILD_ATTR, slot(VTABLE_ATTR, n->ino));
	*inode(n->ino) = (struct world_inode){.mode = opens ? S_IFREG | 0644 : S_IFDIR | 0755};
	vtable_request_settle(&s->v);
	vtable_request_was_alone(&s->v, VT_NAME);
	vtable_request_was_alone(&s->v, VT_CHILD_ATTR);
	put_entry(s, n->ino);
	if (opens)
		put(s, &open, sizeof(open));
	return 0;
}

static int do_unlink(struct serving *s)
{
	struct world_name *n = find(s->ino, s->f->args);

	if (!n)
		return ENOENT;
	mark_name(s, s->f->args);
	mark(s, VT_CHILD_ATTR, slot(VTABLE_ATTR, n->ino));
	n->ino = 0;
	return 0;
}

static int do_access(struct serving *s)
{
	look(s, VT_NODE_ATTR, slot(VTABLE_ATTR, s->ino));
	if (world->both->fault == NO_ACCESS)
		return ENOSYS;
	return inode(s->ino)->mode & 0111 ? 0 : EACCES;
}

static int do_open(struct serving *s)
{
	struct fuse_open_out out = {.fh = 1};

	put(s, &out, sizeof(out));
	return 0;
}

static int do_read(struct serving *s)
{
	const struct fuse_read_in *in = (const void *)s->f->args;
	uint64_t size = inode(s->ino)->size;

	look(s, VT_NODE_DATA, slot(VTABLE_DATA, s->ino));
	if (in->offset < size)
		put(s, inode(s->ino)->bytes + in->offset,
			min_t(uint64_t, in->size, size - in->offset));
	return 0;
}

static int do_write(struct serving *s)
{
	const struct fuse_write_in *in = (const void *)s->f->args;
	struct world_inode *n = inode(s->ino);
	struct fuse_write_out out = {.size = in->size};
	uint64_t at = in->flags & O_APPEND ? n->size : in->offset;

	mark(s, VT_NODE_ATTR, slot(VTABLE_ATTR, s->ino));
	mark(s, VT_NODE_DATA, slot(VTABLE_DATA, s->ino));
	must(at + in->size <= WORLD_BYTES && s->f->args_len >= sizeof(*in) + in->size);
	memcpy(n->bytes + at, in + 1, in->size);
	n->size = max_t(uint64_t, n->size, at + in->size);
	put(s, &out, sizeof(out));
	return 0;
}

static int do_readlink(struct serving *s)
{
	look(s, VT_NODE_DATA, slot(VTABLE_DATA, s->ino));
	put(s, inode(s->ino)->bytes, inode(s->ino)->size);
	return 0;
}

static int do_getxattr(struct serving *s)
{
	const struct fuse_getxattr_in *in = (const void *)s->f->args;
	const char *value = inode(s->ino)->xattr;
	bool lists = s->f->in.opcode == FUSE_LISTXATTR;
	struct fuse_getxattr_out out = {.size = lists ? 7 : (uint32_t)strlen(value)};

	look(s, VT_NODE_ATTR, slot(VTABLE_ATTR, s->ino));
	if (!lists && (!value[0] || strcmp((const char *)(in + 1), "user.a") != 0))
		return ENODATA;
	if (in->size == 0)
		put(s, &out, sizeof(out));
	else if (in->size < out.size)
		return ERANGE;
	else
		put(s, lists ? "user.a" : value, lists && !value[0] ? 0 : out.size);
	return 0;
}

static int do_setxattr(struct serving *s)
{
	const char *name = s->f->args + sizeof(struct fuse_setxattr_in_oldest);
	const struct fuse_setxattr_in_oldest *in = (const void *)s->f->args;

	mark(s, VT_NODE_ATTR, slot(VTABLE_ATTR, s->ino));
	must(in->size < sizeof(inode(s->ino)->xattr));
	memset(inode(s->ino)->xattr, 0, sizeof(inode(s->ino)->xattr));
	memcpy(inode(s->ino)->xattr, name + strlen(name) + 1, in->size);
	return 0;
}

static void put_dirent(struct serving *s, size_t i)
{
	const struct world_name *n = &world->both->names[i];
	char bytes[64] = "";
	struct fuse_dirent *d = (void *)bytes;
	size_t len = strlen(n->name);

	*d = (struct fuse_dirent){.ino = n->ino, .off = i + 1, .namelen = (uint32_t)len};
	memcpy(d->name, n->name, len);
	if (world->both->fault == ENTRY_SHORT)
		put(s, bytes, FUSE_NAME_OFFSET + len - 1);
	else
		put(s, bytes, FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + len));
}

/* What is said of a name in a listing: where words are agreed to, they are in it. */
static void put_listed(struct serving *s, const struct world_name *name)
{
	struct fuse_entry_out entry = {.nodeid = name->ino, .attr = attr_of(name->ino)};
	struct vt_look of_name = vtable_request_glance(&s->v,
		vtable_slot_of_name(table, DEV, s->ino, name->name), 0);
	struct vt_look of_attr = vtable_request_glance(&s->v, slot(VTABLE_ATTR, name->ino), 0);

	if (world->both->fault == SLOT_BEYOND)
		of_name.slot = of_attr.slot = VT_SLOTS_MAX - 1;
	if (framed) {
		vt_put_look(&of_name, &entry.entry_valid, &entry.entry_valid_nsec);
		vt_put_look(&of_attr, &entry.attr_valid, &entry.attr_valid_nsec);
	}
	put(s, &entry, sizeof(entry));
}

/* Two entries at most in a piece, so that listings have several. */
static int do_readdir(struct serving *s)
{
	const struct fuse_read_in *in = (const void *)s->f->args;
	bool plus = s->f->in.opcode == FUSE_READDIRPLUS;
	unsigned int n = 0;

	look(s, VT_NODE_LIST, slot(VTABLE_LIST, s->ino));
	for (size_t i = in->offset; i < INODES && n < 2; i++) {
		const struct world_name *name = &world->both->names[i];

		if (!name->ino || name->dir != s->ino)
			continue;
		if (plus)
			put_listed(s, name);
		put_dirent(s, i);
		n++;
	}
	return 0;
}

static int (*const handlers[FUSE_OPCODE_MAX])(struct serving *s) = {
	[FUSE_LOOKUP] = do_lookup,
	[FUSE_GETATTR] = do_getattr,
	[FUSE_SETATTR] = do_setattr,
	[FUSE_READLINK] = do_readlink,
	[FUSE_MKDIR] = do_make,
	[FUSE_CREATE] = do_make,
	[FUSE_UNLINK] = do_unlink,
	[FUSE_ACCESS] = do_access,
	[FUSE_OPEN] = do_open,
	[FUSE_OPENDIR] = do_open,
	[FUSE_READ] = do_read,
	[FUSE_WRITE] = do_write,
	[FUSE_GETXATTR] = do_getxattr,
	[FUSE_LISTXATTR] = do_getxattr,
	[FUSE_SETXATTR] = do_setxattr,
	[FUSE_READDIR] = do_readdir,
	[FUSE_READDIRPLUS] = do_readdir,
};

static void spoil_look(const struct forged *f, struct vt_look *look)
{
	const struct fuse_read_in *in = (const void *)f->args;

	switch (world->both->fault) {
	case SLOT_BEYOND:
		look->slot = UINT32_MAX;
		break;
	case USE_ONCE:
		look->flags &= ~VT_KEEP;
		break;
	case TWO_STATES:
		look->word -= f->in.opcode == FUSE_READDIR && in->offset ? VT_BEGIN + VT_END : 0;
		break;
	}
}

/* Makes the words what a hostile back-end would make them. */
static void spoil(const struct forged *f, char *words)
{
	const struct vt_row row = vt_row(f->in.opcode);
	char *p = words + sizeof(struct vt_reply);
	struct vt_look look;
	struct vt_move move;

	for (unsigned int i = 0; i < vt_bits(row.looks); i++, p += sizeof(look)) {
		memcpy(&look, p, sizeof(look));
		spoil_look(f, &look);
		memcpy(p, &look, sizeof(look));
	}
	for (unsigned int i = 0; i < vt_bits(row.changes); i++, p += sizeof(move)) {
		memcpy(&move, p, sizeof(move));
		if (world->both->fault == SLOT_BEYOND)
			move.slot = UINT32_MAX;
		if (world->both->fault == FALSE_ALONE) {
			move.flags |= VT_ALONE;
			move.after += VT_BEGIN + VT_END;
		}
		memcpy(p, &move, sizeof(move));
	}
}

/* The reply to a request that was done, with its words. */
static void reply(struct serving *s)
{
	const struct vt_row row = vt_row(s->f->in.opcode);
	char bytes[FORGER_ROOM];
	size_t words = 0;

	if (framed)
		words = vtable_request_words(&s->v, row.looks, row.changes, bytes);
	if (!agreed)
		memset(bytes, 0, words);
	if (words > 0)
		spoil(s->f, bytes);
	must(words + s->len <= sizeof(bytes));
	memcpy(bytes + words, s->out, s->len);
	if (world->both->fault == WORDS_SHORT && words > 0)
		forge_reply(s->f, bytes, words - 1);
	else
		forge_reply(s->f, bytes, words + s->len);
}

/* What was read stays as it is, whatever others do meanwhile on other queues. */
static void hold_back(uint32_t opcode)
{
	if (!atomic_compare_exchange_strong(&world->both->hold, &opcode, HELD))
		return;
	while (atomic_load(&world->both->hold) == HELD)
		usleep(200);
}

static void serve(struct forged *f)
{
	struct serving *s = calloc(1, sizeof(*s));
	int error;

	must(s);
	s->f = f;
	s->ino = f->in.nodeid;
	must(s->ino < INODES);
	/* What one that is held back has read, it read before this. */
	atomic_load(&world->both->hold);
	vtable_request_begin(&s->v, table, true);
	error = handlers[f->in.opcode](s);
	vtable_request_settle(&s->v);
	hold_back(f->in.opcode);
	if (error)
		forge_error(f, error);
	else
		reply(s);
	vtable_request_end(&s->v);
	free(s);
}

static void hello(struct forged *f)
{
	const struct vt_hello_in *in = (const void *)f->args;
	struct vt_hello_out out = {.wire = VT_WIRE, .layout = VT_LAYOUT};
	int fault = world->both->fault;

	must(f->args_len == sizeof(*in));
	if (fault == NO_HELLO) {
		forge_error(f, ENOSYS);
		return;
	}
	if (vtable_is_poisoned(table)) {
		agreed = false;
		vtable_renew(table, 0);
	}
	memcpy(out.id, table->id, sizeof(out.id));
	out.slots = fault == BAD_SLOTS ? 0 : table->slots;
	out.wire = fault == BAD_WIRE ? 2 : VT_WIRE;
	if (fault == OTHER_ID)
		out.id[0] ^= 1;
	if ((in->flags & VT_HELLO_BEGIN) && memcmp(in->id, out.id, sizeof(out.id)) != 0) {
		forge_error(f, ESTALE);
		return;
	}
	if (in->flags & VT_HELLO_BEGIN)
		agreed = framed = true;
	if ((in->flags & VT_HELLO_BEGIN) && fault == BEGIN_OTHER)
		out.id[0] ^= 1;
	forge_reply(f, &out, sizeof(out));
}

/* The locks of FILE.key are those of who attached: of this process. */
static void attach(void)
{
	close(world->t->lock);
	must(vtable_open(&table, world->path, 0, 0) == 0);
}

static void shared_serve(struct forger *forger, struct forged *f)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, attach);
	if (f->in.opcode != FUSE_FORGET && f->in.opcode != FUSE_BATCH_FORGET)
		atomic_fetch_add(&world->both->served, 1);
	if (f->in.opcode == VT_HELLO)
		hello(f);
	else if (f->in.opcode < FUSE_OPCODE_MAX && handlers[f->in.opcode])
		serve(f);
	else
		forge_default(f);
}

void shared_serve_world(struct shared_world *w)
{
	world = w;
	w->forger->forge = shared_serve;
}

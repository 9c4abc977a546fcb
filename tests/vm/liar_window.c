// SPDX-License-Identifier: BSD-2-Clause
/*
 * The DAX window of liar.c, and what becomes of good replies about it, and about a file that is
 * mapped there.
 *
 * Each file of the tree is the same one in the window: sparse, and longer than the tree says. What
 * is mapped stays until something else is to be where it is, whatever the guest was told.
 */
#include "liar.h"

#include "unit.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLACE     (2ull << 20) /* what Linux maps at once */
#define FILE_SIZE (64 * PLACE)
#define LARGE     (16 * PLACE) /* more than the window has */

static int file = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void liar_open_window(struct forger *forger, uint64_t bytes, const char *tag)
{
	const uint32_t queues = 1;

	must(strlen(tag) < VHOST_FRONTEND_TAG_MAX);
	strcpy(forger->config, tag);
	memcpy(forger->config + VHOST_FRONTEND_TAG_MAX, &queues, sizeof(queues));
	forger->window_size = bytes;
	file = memfd_create("liar", MFD_CLOEXEC);
	must(file >= 0 && ftruncate(file, FILE_SIZE) == 0);
	must(pwrite(file, LIAR_TEXT, 4, 0) == 4);
}

static const struct fuse_setupmapping_in *wanted(const struct forged *f)
{
	return (const void *)f->args;
}

/* `clears`: what is there goes before it. */
static void map(struct forger *forger, struct forged *f, uint64_t at, bool writable, bool clears)
{
	const struct fuse_setupmapping_in *in = wanted(f);
	struct vhost_shmem_change changes[] = {
		{.at = at, .len = in->len, .fd = -1},
		{.at = at, .len = in->len, .fd = file, .offset = in->foffset,
			.writable = writable},
	};

	pthread_mutex_lock(&lock);
	/* Where nothing is, the first is refused. */
	vhost_shmem_apply(&forger->backend, clears ? changes : changes + 1, clears ? 2 : 1);
	pthread_mutex_unlock(&lock);
	if (changes[1].result)
		forge_error(f, EIO);
}

static void map_as_asked(struct forger *forger, struct forged *f)
{
	map(forger, f, wanted(f)->moffset, wanted(f)->flags & FUSE_SETUPMAPPING_FLAG_WRITE, true);
}

void liar_set_up(struct forged *f)
{
	const struct fuse_setupmapping_in *in = wanted(f);

	/* A load behind the end of what is mapped would be the end of the machine. */
	if (in->len > FILE_SIZE || in->foffset > FILE_SIZE - in->len)
		forge_error(f, EINVAL);
	else
		f->later = map_as_asked;
}

static void unmap(struct forger *forger, struct forged *f)
{
	const struct fuse_removemapping_in *in = (const void *)f->args;
	const struct fuse_removemapping_one *ones = (const void *)(in + 1);

	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; i < in->count; i++) {
		struct vhost_shmem_change change = {
			.at = ones[i].moffset, .len = ones[i].len, .fd = -1};

		vhost_shmem_apply(&forger->backend, &change, 1);
	}
	pthread_mutex_unlock(&lock);
}

void liar_remove(struct forged *f)
{
	const struct fuse_removemapping_in *in = (const void *)f->args;

	if (f->args_len < sizeof(*in) + in->count * sizeof(struct fuse_removemapping_one))
		forge_error(f, EINVAL);
	else
		f->later = unmap;
}

/* ---- SETUPMAPPING and REMOVEMAPPING ---------------------------------------------------------- */

static void refuse(struct forged *f, int error)
{
	f->later = NULL;
	forge_error(f, error);
}

static void refuse_eio(struct forged *f)
{
	refuse(f, EIO);
}

static void refuse_enosys(struct forged *f)
{
	refuse(f, ENOSYS);
}

static void refuse_einval(struct forged *f)
{
	refuse(f, EINVAL);
}

/* What a kernel does for its own lack of memory is to fault again. */
static void refuse_enomem(struct forged *f)
{
	refuse(f, ENOMEM);
}

/* ... and what the module means by it is that no place is free. */
static void refuse_eagain(struct forged *f)
{
	refuse(f, EAGAIN);
}

/* ... that a page is not whole. */
static void refuse_erange(struct forged *f)
{
	refuse(f, ERANGE);
}

static void refuse_ehwpoison(struct forged *f)
{
	refuse(f, EHWPOISON);
}

static void refuse_each(struct forged *f)
{
	static _Atomic unsigned int turn;

	refuse(f, (int)(1 + turn++ % 511));
}

static void reply_longer(struct forged *f)
{
	f->later = NULL;
	forge_reply(f, "12345678", 8);
}

static void reply_shorter(struct forged *f)
{
	f->later = NULL;
	f->out.len = sizeof(f->out) - 1;
}

static void in_vain(struct forged *f)
{
	f->later = NULL;
	f->out.error = 0;
}

static void map_elsewhere_later(struct forger *forger, struct forged *f)
{
	const uint64_t places = forger->window_size / PLACE;

	map(forger, f, (wanted(f)->moffset / PLACE + 1) % places * PLACE, true, true);
}

static void map_elsewhere(struct forged *f)
{
	if (f->later)
		f->later = map_elsewhere_later;
}

static void map_read_only_later(struct forger *forger, struct forged *f)
{
	map(forger, f, wanted(f)->moffset, false, true);
}

static void map_read_only(struct forged *f)
{
	if (f->later)
		f->later = map_read_only_later;
}

/* What is in the way stays: the front-end refuses. */
static void map_over_later(struct forger *forger, struct forged *f)
{
	map(forger, f, wanted(f)->moffset, true, false);
}

/* ---- Sizes ----------------------------------------------------------------------------------- */

static struct fuse_attr *attr_of(struct forged *f)
{
	if (f->out.error)
		return NULL;
	switch (f->in.opcode) {
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		return &LIAR_AS(f, struct fuse_attr_out)->attr;
	case FUSE_LOOKUP:
	case FUSE_CREATE:
		return &LIAR_AS(f, struct fuse_entry_out)->attr;
	default:
		return NULL;
	}
}

static void set_size(struct forged *f, uint64_t size)
{
	struct fuse_attr *attr = attr_of(f);

	if (attr && S_ISREG(attr->mode))
		attr->size = size;
}

/* More than the window has, where nothing has to leave. */
static void file_is_large(struct forged *f)
{
	set_size(f, LARGE);
}

static void unmap_refused(struct forged *f)
{
	file_is_large(f);
	if (f->in.opcode == FUSE_REMOVEMAPPING)
		refuse_eio(f);
	if (f->in.opcode == FUSE_SETUPMAPPING && f->later)
		f->later = map_over_later;
}

static void unmap_in_vain(struct forged *f)
{
	file_is_large(f);
	if (f->in.opcode == FUSE_REMOVEMAPPING)
		in_vain(f);
}

/* All is said to be mapped, however much. */
static void all_in_vain(struct forged *f)
{
	set_size(f, INT64_MAX);
	if (f->in.opcode == FUSE_SETUPMAPPING || f->in.opcode == FUSE_REMOVEMAPPING)
		in_vain(f);
}

static void sizes_jump(struct forged *f)
{
	static const uint64_t sizes[] = {LIAR_SIZE, INT64_MAX, 0, 5000, LARGE, 1, 4096,
		INT64_MAX - 4095, PLACE, 4097, PLACE + 1, LIAR_SIZE - 1, INT64_MAX - 1, 0, LARGE};
	static _Atomic unsigned int turn;

	if (attr_of(f))
		set_size(f, sizes[turn++ % ARRAY_SIZE(sizes)]);
}

static void size_beyond(struct forged *f)
{
	set_size(f, (uint64_t)INT64_MAX + 1);
}

static void size_is_nothing(struct forged *f)
{
	set_size(f, 0);
}

/* A new name for what is mapped by another one. */
static void create_mapped(struct forged *f)
{
	struct fuse_create_out *out = LIAR_AS(f, struct fuse_create_out);

	out->entry.nodeid = LIAR_FILE;
	out->entry.attr = liar_attr(LIAR_FILE);
	out->entry.attr.size = 0;
}

/* ---- INIT ------------------------------------------------------------------------------------ */

static void init_alignment(struct forged *f)
{
	LIAR_AS(f, struct fuse_init_out)->map_alignment = UINT16_MAX;
}

static void init_no_alignment(struct forged *f)
{
	LIAR_AS(f, struct fuse_init_out)->flags &= ~(uint32_t)FUSE_MAP_ALIGNMENT;
}

const struct lie lies_of_window[] = {
	{"map-eio", FUSE_SETUPMAPPING, refuse_eio},
	{"map-enosys", FUSE_SETUPMAPPING, refuse_enosys},
	{"map-einval", FUSE_SETUPMAPPING, refuse_einval},
	{"map-enomem", FUSE_SETUPMAPPING, refuse_enomem},
	{"map-eagain", FUSE_SETUPMAPPING, refuse_eagain},
	{"map-erange", FUSE_SETUPMAPPING, refuse_erange},
	{"map-ehwpoison", FUSE_SETUPMAPPING, refuse_ehwpoison},
	{"map-each-error", FUSE_SETUPMAPPING, refuse_each},
	{"map-longer", FUSE_SETUPMAPPING, reply_longer},
	{"map-shorter", FUSE_SETUPMAPPING, reply_shorter},
	{"map-in-vain", FUSE_SETUPMAPPING, in_vain},
	{"map-elsewhere", FUSE_SETUPMAPPING, map_elsewhere},
	{"map-read-only", FUSE_SETUPMAPPING, map_read_only},
	{"file-is-large", 0, file_is_large},
	{"unmap-refused", 0, unmap_refused},
	{"unmap-in-vain", 0, unmap_in_vain},
	{"all-in-vain", 0, all_in_vain},
	{"sizes-jump", 0, sizes_jump},
	{"size-beyond", FUSE_GETATTR, size_beyond},
	{"size-beyond-set", FUSE_SETATTR, size_beyond},
	{"size-is-nothing", FUSE_GETATTR, size_is_nothing},
	{"size-set-to-nothing", FUSE_SETATTR, size_is_nothing},
	{"create-mapped", FUSE_CREATE, create_mapped},
	{"init-alignment", FUSE_INIT, init_alignment},
	{"init-no-alignment", FUSE_INIT, init_no_alignment},
	{NULL, 0, NULL},
};

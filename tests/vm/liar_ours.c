// SPDX-License-Identifier: BSD-2-Clause
/*
 * What becomes of good replies of a server that is ours: of files that are pinned
 * (causeway_wire.h), of the version table and of words (version_wire.h).
 *
 * The tables are files that the guest has as memory, too; what is in them is read anew each time,
 * for others write to them.
 */
#include "liar.h"

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SLOT 5 /* of all words that may be kept */

/* ---- Pins ------------------------------------------------------------------------------------ */

static void agree_to(struct forged *f, uint32_t wire, uint32_t extensions)
{
	const struct cw_hello_out out = {.wire = wire, .extensions = extensions};

	f->out.error = 0;
	forge_reply(f, &out, sizeof(out));
}

static void pin(struct forged *f)
{
	const uint32_t all = CW_FOPEN_PINNED_READ | CW_FOPEN_PINNED_WRITE;

	if (f->in.opcode == FUSE_OPEN || f->in.opcode == FUSE_OPENDIR)
		LIAR_AS(f, struct fuse_open_out)->open_flags |= all;
	if (f->in.opcode == FUSE_CREATE || f->in.opcode == FUSE_TMPFILE)
		LIAR_AS(f, struct fuse_create_out)->open.open_flags |= all;
}

/* Nobody has agreed to pins. */
static void pins_unasked(struct forged *f)
{
	pin(f);
}

static void pins_of_other_wire(struct forged *f)
{
	if (f->in.opcode == CW_HELLO)
		agree_to(f, CW_WIRE + 1, CW_EXT_PINS);
	pin(f);
}

/* Given, and taken back: by then they are as good as any handle. */
static void pins_broken(struct forged *f)
{
	if (f->in.opcode == CW_HELLO)
		agree_to(f, CW_WIRE, UINT32_MAX);
	pin(f);
}

/* Given for directories and for what was never opened for that; honoured for what files can be done
 * with by their nodes, and for nothing else. */
static void pins_of_all(struct forged *f)
{
	switch (f->in.opcode) {
	case FUSE_READ:
	case FUSE_WRITE:
	case FUSE_FSYNC:
	case FUSE_LSEEK:
	case FUSE_FALLOCATE:
	case FUSE_COPY_FILE_RANGE:
		f->out.error = 0;
		liar_answer(f);
		break;
	default:
		pins_broken(f);
	}
}

/* Good pins, but what is written is lost, which the host says once: to whoever asks first, as all
 * who write are one open file there. */
static void pins_lose_writes(struct forged *f)
{
	static _Atomic bool lost;

	pins_of_all(f);
	if (f->in.opcode == FUSE_WRITE)
		atomic_store(&lost, true);
	if (f->in.opcode == FUSE_FSYNC && atomic_exchange(&lost, false))
		forge_error(f, EIO);
}

/* ---- The table ------------------------------------------------------------------------------- */

static char *const *paths;
static _Atomic unsigned int current; /* whose words are spoken */
static _Atomic bool spoken;

void liar_set_tables(char *const *of)
{
	paths = of;
}

static uint64_t number_at(unsigned int table, uint64_t at)
{
	const int fd = open(paths[table], O_RDONLY | O_CLOEXEC);
	uint64_t number;

	must(fd >= 0 && pread(fd, &number, sizeof(number), (off_t)at) == sizeof(number));
	close(fd);
	return number;
}

static void name_table(unsigned int table, struct vt_hello_out *out)
{
	const size_t id = offsetof(struct vt_header, id);
	const uint64_t halves[] = {number_at(table, id), number_at(table, id + 8)};

	out->wire = VT_WIRE;
	out->layout = VT_LAYOUT;
	out->slots = number_at(table, offsetof(struct vt_header, slots));
	memcpy(out->id, halves, sizeof(halves));
}

static void answer_hello(struct forged *f, unsigned int table)
{
	const struct vt_hello_in *in = (const void *)f->args;
	struct vt_hello_out out = {0};

	name_table(table, &out);
	forge_reply(f, &out, sizeof(out));
	if (in->flags & VT_HELLO_BEGIN) {
		atomic_store(&current, table);
		atomic_store(&spoken, true);
	}
}

bool liar_hello(struct forged *f)
{
	if (f->in.opcode == FUSE_INIT)
		atomic_store(&spoken, false);
	if (f->in.opcode != VT_HELLO || !paths || !paths[0])
		return false;
	answer_hello(f, 0);
	return true;
}

/* Words that let nothing be kept. */
void liar_add_words(struct forged *f)
{
	const unsigned int size = vt_row_size(vt_row(f->in.opcode));

	if (!atomic_load(&spoken) || f->out.error || f->reply_len + size > sizeof(f->reply))
		return;
	memmove(f->reply + size, f->reply, f->reply_len);
	memset(f->reply, 0, size);
	f->reply_len += size;
	f->out.len = (uint32_t)(sizeof(f->out) + f->reply_len);
}

/* ---- VT_HELLO -------------------------------------------------------------------------------- */

#define HELLO(F) LIAR_AS(F, struct vt_hello_out)

static void hello_wire(struct forged *f)
{
	HELLO(f)->wire++;
}

static void hello_layout(struct forged *f)
{
	HELLO(f)->layout++;
}

static void hello_id(struct forged *f)
{
	HELLO(f)->id[0] ^= 1;
}

static void hello_id_moves(struct forged *f)
{
	if (((const struct vt_hello_in *)(const void *)f->args)->flags & VT_HELLO_BEGIN)
		hello_id(f);
}

static void hello_more_slots(struct forged *f)
{
	HELLO(f)->slots *= 2;
}

static void hello_fewer_slots(struct forged *f)
{
	HELLO(f)->slots /= 2;
}

static void hello_odd_slots(struct forged *f)
{
	HELLO(f)->slots++;
}

static void hello_no_slots(struct forged *f)
{
	HELLO(f)->slots = 0;
}

static void hello_endless_slots(struct forged *f)
{
	HELLO(f)->slots = 1ull << 61;
}

/* ---- Words ----------------------------------------------------------------------------------- */

/* All of a reply are that look, of that epoch, also those in the entries of a listing. */
static void set_words(struct forged *f, const struct vt_look *look, uint64_t epoch)
{
	const struct vt_row row = vt_row(f->in.opcode);
	const struct vt_reply head = {.epoch = epoch};
	size_t at = vt_row_size(row);

	if (!atomic_load(&spoken) || !at || f->reply_len < at)
		return;
	memcpy(f->reply, &head, sizeof(head));
	for (unsigned int i = 0; i < vt_bits(row.looks); i++)
		memcpy(f->reply + sizeof(head) + i * sizeof(*look), look, sizeof(*look));
	while (f->in.opcode == FUSE_READDIRPLUS && at < f->reply_len) {
		struct fuse_direntplus *listed = (void *)(f->reply + at);
		struct fuse_entry_out *entry = &listed->entry_out;

		vt_put_look(look, &entry->entry_valid, &entry->entry_valid_nsec);
		vt_put_look(look, &entry->attr_valid, &entry->attr_valid_nsec);
		at += FUSE_DIRENTPLUS_SIZE(listed);
	}
}

static void keep(struct forged *f, uint64_t slot, uint64_t epoch_off)
{
	const unsigned int table = atomic_load(&current);
	const struct vt_look look = {
		.word = number_at(table, vt_slot_at(SLOT)),
		.slot = (uint32_t)slot,
		.flags = VT_KEEP,
	};

	set_words(f, &look, number_at(table, offsetof(struct vt_header, epoch)) + epoch_off);
}

static void words_kept(struct forged *f)
{
	keep(f, SLOT, 0);
}

/* ... and another table is named to whoever asks. */
static void words_of_second(struct forged *f)
{
	if (f->in.opcode == VT_HELLO && paths[1])
		answer_hello(f, 1);
	else
		keep(f, SLOT, 0);
}

static void words_behind(struct forged *f)
{
	keep(f, number_at(0, offsetof(struct vt_header, slots)), 0);
}

static void words_far(struct forged *f)
{
	keep(f, UINT32_MAX, 0);
}

static void words_epoch(struct forged *f)
{
	keep(f, SLOT, 1);
}

static void words_garbage(struct forged *f)
{
	const unsigned int size = vt_row_size(vt_row(f->in.opcode));

	if (atomic_load(&spoken) && f->reply_len >= size)
		memset(f->reply, 0xff, size);
}

/* Half of them, and of what is behind them nothing. */
static void words_cut(struct forged *f)
{
	const unsigned int size = vt_row_size(vt_row(f->in.opcode));

	if (!atomic_load(&spoken) || !size || f->out.error)
		return;
	f->reply_len = size / 2;
	f->out.len = (uint32_t)(sizeof(f->out) + f->reply_len);
}

const struct lie lies_of_pins[] = {
	{"pins-unasked", 0, pins_unasked},
	{"pins-of-other-wire", 0, pins_of_other_wire},
	{"pins-broken", 0, pins_broken},
	{"pins-of-all", 0, pins_of_all},
	{"pins-lose-writes", 0, pins_lose_writes},
	{NULL, 0, NULL},
};

const struct lie lies_of_words[] = {
	{"hello-wire", VT_HELLO, hello_wire},
	{"hello-layout", VT_HELLO, hello_layout},
	{"hello-id", VT_HELLO, hello_id},
	{"hello-id-moves", VT_HELLO, hello_id_moves},
	{"hello-more-slots", VT_HELLO, hello_more_slots},
	{"hello-fewer-slots", VT_HELLO, hello_fewer_slots},
	{"hello-odd-slots", VT_HELLO, hello_odd_slots},
	{"hello-no-slots", VT_HELLO, hello_no_slots},
	{"hello-endless-slots", VT_HELLO, hello_endless_slots},
	{"words-kept", 0, words_kept},
	{"words-of-second", 0, words_of_second},
	{"words-behind", 0, words_behind},
	{"words-far", 0, words_far},
	{"words-epoch", 0, words_epoch},
	{"words-garbage", 0, words_garbage},
	{"words-cut", 0, words_cut},
	{NULL, 0, NULL},
};

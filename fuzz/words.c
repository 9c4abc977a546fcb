// SPDX-License-Identifier: BSD-2-Clause
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "proto/fuse_ops.h"
#include "words.h"

#define TABLES 4

/* Where a word is that the input changes: slots first. */
#define HEADER_WORDS_AT 16
#define OTHER_TABLE_AT  24

/* Two that have as many slots, one with another number, and one that could shrink. */
static struct table {
	uint64_t slots;
	int seals, fd;
	char *map;
} tables[TABLES] = {
	{16, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE, -1, NULL},
	{16, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE, -1, NULL},
	{64, F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE, -1, NULL},
	{16, F_SEAL_GROW, -1, NULL},
};
static unsigned int now; /* which has the name */
static int name = -1;
static char path[32];

static uint64_t *word_at(size_t offset)
{
	return (uint64_t *)(void *)(tables[now].map + offset);
}

static uint64_t *slot_at(uint32_t slot)
{
	return word_at(VT_HEADER_SIZE + (size_t)slot * sizeof(uint64_t));
}

void words_make_tables(void)
{
	for (size_t i = 0; i < TABLES; i++) {
		struct table *t = &tables[i];
		size_t size = (size_t)vt_size(t->slots);

		t->fd = memfd_create("table", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		must(t->fd >= 0 && ftruncate(t->fd, (off_t)size) == 0);
		t->map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
		must(t->map != MAP_FAILED && fcntl(t->fd, F_ADD_SEALS, t->seals) == 0);
	}
	name = dup(tables[0].fd);
	must(name >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", name);
}

static void give_name(unsigned int i)
{
	now = i;
	must(dup2(tables[i].fd, name) == name);
}

void words_reset(void)
{
	for (unsigned int i = 0; i < TABLES; i++) {
		struct vt_header head = {
			.magic = VT_MAGIC,
			.layout = VT_LAYOUT,
			.header_size = VT_HEADER_SIZE,
			.id = {(uint8_t)(i + 1)},
			.slots = tables[i].slots,
			.epoch = 1000 * (i + 1),
			.watcher = 1,
		};

		memset(tables[i].map, 0, (size_t)vt_used(tables[i].slots));
		memcpy(tables[i].map, &head, sizeof(head));
	}
	give_name(0);
}

const char *words_path(void)
{
	return path;
}

struct vt_hello_out words_hello(void)
{
	struct vt_hello_out out = {
		.wire = VT_WIRE,
		.layout = VT_LAYOUT,
		.id = {(uint8_t)(now + 1)},
		.slots = tables[now].slots,
	};

	return out;
}

bool words_change(uint8_t where, uint8_t by)
{
	static const size_t header[OTHER_TABLE_AT - HEADER_WORDS_AT] = {
		offsetof(struct vt_header, epoch),
		offsetof(struct vt_header, poison),
		offsetof(struct vt_header, timed),
		offsetof(struct vt_header, watcher),
		offsetof(struct vt_header, id),
		offsetof(struct vt_header, slots),
		offsetof(struct vt_header, magic),
		offsetof(struct vt_header, zero0),
	};
	unsigned int at = where & 31;

	if (at >= OTHER_TABLE_AT) {
		give_name(at % TABLES);
		return true;
	}
	*(at < HEADER_WORDS_AT ? slot_at(at) : word_at(header[at - HEADER_WORDS_AT])) ^=
		(uint64_t)by << 8 * (where >> 5);
	return false;
}

/* The slot of what a bit stands for: the same for the attributes of an inode, whichever way they
 * are come by. */
static uint32_t slot_of(unsigned int bit, uint64_t node, uint64_t child)
{
	unsigned int kind = 0;

	if (bit & (VT_NODE_DATA | VT_CHILD_DATA | VT_TO_DATA))
		kind = 1;
	else if (bit & (VT_NODE_LIST | VT_CHILD_LIST | VT_TO_LIST | VT_TO_CHILD_LIST))
		kind = 2;
	else if (bit & (VT_NAME | VT_TO_NAME))
		kind = 3;
	if (bit & (VT_CHILD_ATTR | VT_CHILD_DATA | VT_CHILD_LIST | VT_TO_CHILD_ATTR |
			  VT_TO_CHILD_LIST | VT_NAME | VT_TO_NAME))
		node = child;
	return (uint32_t)((4 * node + kind) & (tables[now].slots - 1));
}

static struct vt_look look_at(uint32_t slot)
{
	return (struct vt_look){.word = *slot_at(slot), .slot = slot, .flags = VT_KEEP};
}

/* Slots that a change touches twice move once. */
static struct vt_move move_at(uint32_t slot, const char *moves, size_t n)
{
	struct vt_move m;

	for (size_t i = 0; i < n; i++) {
		memcpy(&m, moves + i * sizeof(m), sizeof(m));
		if (m.slot == slot)
			return m;
	}
	m = (struct vt_move){.before = *slot_at(slot), .slot = slot, .flags = VT_ALONE};
	m.after = *slot_at(slot) += VT_BEGIN + VT_END;
	return m;
}

size_t words_of_reply(uint32_t opcode, uint64_t node, uint64_t child, char *to)
{
	const struct vt_row row = vt_row(opcode);
	uint32_t looks = row.looks, changes = row.changes;
	struct vt_reply head = {.epoch = *word_at(offsetof(struct vt_header, epoch))};
	char *p = to + sizeof(head), *moves;

	if (!looks && !changes)
		return 0;
	memcpy(to, &head, sizeof(head));
	moves = p + vt_bits(looks) * sizeof(struct vt_look);
	for (size_t n = 0; changes; changes &= changes - 1, n++) {
		struct vt_move m = move_at(slot_of(changes & -changes, node, child), moves, n);

		memcpy(moves + n * sizeof(m), &m, sizeof(m));
	}
	/* What is shown is of the state after the change. */
	for (; looks; looks &= looks - 1, p += sizeof(struct vt_look)) {
		struct vt_look look = look_at(slot_of(looks & -looks, node, child));

		memcpy(p, &look, sizeof(look));
	}
	return vt_row_size(row);
}

void words_of_entry(uint64_t dir, struct fuse_entry_out *entry)
{
	struct vt_look of_name = look_at(slot_of(VT_NAME, dir, entry->nodeid));
	struct vt_look of_attr = look_at(slot_of(VT_CHILD_ATTR, dir, entry->nodeid));

	if (entry->nodeid == 0)
		return;
	vt_put_look(&of_name, &entry->entry_valid, &entry->entry_valid_nsec);
	vt_put_look(&of_attr, &entry->attr_valid, &entry->attr_valid_nsec);
}

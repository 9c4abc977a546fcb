// SPDX-License-Identifier: BSD-2-Clause
/*
 * Fuzzes the device side of a ring of either format: an input is the state of a queue and an image
 * of the guest's memory, from the rings on. All chains are popped, read, written and pushed, some
 * of them later; what the writing does to the rings is part of the game. Between chains, memory
 * changes as the end of the input says.
 *
 * Input: u8 size (power of two, one less where the flags say so), u8 flags, u16 available and u16
 * used index (or slot with wrap counter) to begin with, u16 bytes of image, the image, then one u8
 * for each chain.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "mem/cursor.h"
#include "mem/mem.h"
#include "virtq/virtq.h"

#define PAGE   4096u
#define RINGS  (16 * PAGE) /* bytes of the region with the rings, at guest address 0 */
#define EXTRA  PAGE        /* the region after it, and one beyond a hole */
#define CHAINS 600
#define HELD   5 /* chains that are pushed later */

#define EVENT_IDX   1 /* flags of an input */
#define AVAIL_FIRST 2
#define USED_FIRST  4
#define PACKED      8
#define ODD_SIZE    16

static struct mem mem;
static struct mem_gate gate;
static int fd;
static char *memory;

static const struct mem_region_desc regions[] = {
	{.gpa = 0, .size = RINGS, .uva = 1ull << 40, .offset = 0},
	{.gpa = RINGS, .size = EXTRA, .uva = 1ull << 41, .offset = RINGS + EXTRA},
	{.gpa = RINGS + 2 * EXTRA, .size = EXTRA, .uva = 1ull << 42, .offset = RINGS},
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	fd = memfd_create("guest", MFD_CLOEXEC);
	must(fd >= 0 && ftruncate(fd, RINGS + 2 * EXTRA) == 0);
	memory = mmap(NULL, RINGS + 2 * EXTRA, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(memory != MAP_FAILED);
	mem_init(&mem);
	mem_gate_add(&mem, &gate);
	for (size_t i = 0; i < 3; i++)
		must(mem_add(&mem, &regions[i], fd) == 0);
	return 0;
}

/* Each piece must lie within one region of the table; the total must be as told. */
static void check_pieces(const struct iovec *iov, size_t len)
{
	size_t sum = 0;

	for (; sum < len; iov++) {
		const char *p = iov->iov_base;
		size_t inside = 0;

		for (size_t i = 0; i < mem.nregions; i++) {
			const struct mem_region *r = &mem.regions[i];

			if (p >= r->host && p < r->host + r->size)
				inside = (size_t)(r->host + r->size - p);
		}
		must(iov->iov_len > 0 && iov->iov_len <= inside);
		sum += iov->iov_len;
	}
	must(sum == len);
}

/* Reads and writes a chain as a request would be. */
static uint32_t use_chain(const struct virtq_chain *chain, uint8_t how)
{
	struct cursor in = cursor_over(chain->in, chain->in_len);
	struct cursor out = cursor_over(chain->out, chain->out_len);
	char buf[512];
	struct iovec lent[8];
	size_t n = cursor_read(&in, buf, how), taken;

	check_pieces(chain->in, chain->in_len);
	check_pieces(chain->out, chain->out_len);
	must(n == (chain->in_len < how ? chain->in_len : how));
	cursor_skip(&in, how);
	must(cursor_lend(&in, 1 << 16, lent, 8, &taken) <= 8);
	return (uint32_t)cursor_write(&out, buf, n);
}

/* The middle region goes and comes, or the table is replaced; rings are found again. */
static void change_memory(struct virtq *vq, uint8_t how)
{
	const int fds[] = {fd, fd, fd};

	mem_close_gates(&mem);
	if (how & 1)
		mem_remove(&mem, &regions[1]);
	if (how & 2)
		mem_add(&mem, &regions[1], fd);
	if (how & 4)
		must(mem_replace(&mem, regions, fds, 3) == 0);
	if (how & 8)
		must(mem_replace(&mem, regions + 1, fds, 2) == 0);
	virtq_resolve(vq);
	mem_open_gates(&mem);
}

/* Pushes a chain, or one from before in its place. */
static void push(struct virtq *vq, uint16_t *held, unsigned int *nheld, uint16_t head, uint32_t len)
{
	if (*nheld < HELD && len % 3 == 1) {
		held[(*nheld)++] = head;
		return;
	}
	if (*nheld > 0 && len % 3 == 2) {
		uint16_t other = held[len % *nheld];

		held[len % *nheld] = head;
		head = other;
	}
	virtq_push(vq, head, len);
}

static void pop_all(struct virtq *vq, struct input *in)
{
	uint16_t held[HELD];
	unsigned int nheld = 0;

	for (unsigned int i = 0; i < CHAINS; i++) {
		uint8_t how = take_u8(in);
		struct virtq_chain chain;
		int r;

		mem_enter(&mem, &gate);
		r = vq->broken ? -1 : virtq_pop(vq, &chain);
		if (r == 1) {
			push(vq, held, &nheld, chain.head, use_chain(&chain, how));
			virtq_publish(vq);
			must(virtq_is_base(vq, virtq_base(vq)));
			virtq_refuse_kicks(vq);
			virtq_want_kicks(vq);
			(void)virtq_pending(vq);
		}
		mem_leave(&gate);
		must(r == 1 || r == 0 || (vq->broken && vq->broken_by));
		if (r <= 0)
			return;
		if (how >= 0xf0)
			change_memory(vq, how & 15);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const int fds[] = {fd, fd, fd};
	struct input in = {data, size};
	struct virtq vq = {.mem = &mem};
	unsigned int n = 1u << (1 + take_u8(&in) % 9);
	uint8_t flags = take_u8(&in);
	uint16_t avail = take_u16(&in), used = take_u16(&in);
	bool packed = flags & PACKED;
	size_t avail_at, used_at;
	size_t image = take_u16(&in) % RINGS;

	if (packed && (flags & ODD_SIZE) && n > 2)
		n--;
	avail_at = n * sizeof(struct ring_desc);
	used_at = packed ? avail_at + 4 : (avail_at + 4 + 2 * (n + 1) + 3) / 4 * 4;
	memset(memory, 0, RINGS + 2 * EXTRA);
	take(&in, memory, image < in.left ? image : in.left);
	if (!packed)
		memcpy(memory + used_at + 2, &used, sizeof(used));
	must(mem_replace(&mem, regions, fds, 3) == 0);
	virtq_set_packed(&vq, packed);
	must(virtq_set_size(&vq, n) == 0);
	vq.event_idx = flags & EVENT_IDX;
	vq.desc_uva = regions[0].uva;
	vq.avail_uva = regions[0].uva + (flags & AVAIL_FIRST ? 0 : avail_at);
	vq.used_uva = regions[0].uva + (flags & USED_FIRST ? 0 : used_at);
	virtq_rewind(&vq, packed ? avail | (uint32_t)used << 16 : avail);
	if (virtq_resolve(&vq) == 0)
		pop_all(&vq, &in);
	virtq_reset(&vq);
	return 0;
}

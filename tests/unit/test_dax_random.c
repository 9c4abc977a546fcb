// SPDX-License-Identifier: BSD-2-Clause
/* check: builds=plain,asan,tsan
 *
 * The DAX window against a model: two files change in every way there is, by requests, by the guest
 * through its memory, by truncation, by leases that come and go; with front-ends that can much,
 * little, or are interrupted. After each step the guest sees in each claim what the model has. */
#include "dax_frontend.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "dax/window.h"

#define FILES  2
#define PAGES  12 /* of a file, at most */
#define WINDOW 40
#define PIECES 24
#define BYTES  ((size_t)PAGES * DAX_PAGE)
#define STEPS  4000

struct model_file {
	int fd;
	struct dax_file *f;
	uint64_t size;
	bool safe;
	char bytes[BYTES]; /* zeros beyond size */
};

struct model {
	struct dax_fake *fake;
	struct model_file files[FILES];
	struct model_file *claimed[WINDOW]; /* page by page */
	uint64_t offset[WINDOW];
	uint32_t random;
	bool interrupts;
};

static uint32_t pick(struct model *m, uint32_t n)
{
	return unit_random(&m->random) % n;
}

static struct model_file *pick_file(struct model *m)
{
	return &m->files[pick(m, FILES)];
}

/* Claims as the mirror has them, where the model cannot know. */
static void ask_mirror(struct model *m)
{
	memset(m->claimed, 0, sizeof(m->claimed));
	for (unsigned int i = 0; i < m->fake->w->nclaims; i++) {
		const struct dax_claim *c = m->fake->w->claims[i];

		for (uint64_t at = 0; at < c->len; at += DAX_PAGE) {
			uint64_t page = (c->at + at) / DAX_PAGE;

			m->claimed[page] = c->file == m->files[0].f ? &m->files[0] : &m->files[1];
			m->offset[page] = c->offset + at;
		}
	}
}

static void check_page(const struct model *m, const struct dax_piece *p, uint64_t in_piece)
{
	uint64_t page = (p->at + in_piece) / DAX_PAGE, offset = p->offset + in_piece;
	const struct model_file *mf = m->claimed[page];
	size_t n;

	assert_non_null(mf);
	assert_ptr_equal(mf->f, p->file);
	assert_int_equal(m->offset[page], offset);
	/* Nothing reaches beyond the last page. */
	assert_true(offset < mf->size);
	if (p->kind == DAX_PAGES)
		assert_true(mf->safe && offset + DAX_PAGE <= mf->size);
	n = min_t(uint64_t, DAX_PAGE, mf->size - offset);
	assert_memory_equal(m->fake->memory + p->at + in_piece, mf->bytes + offset, n);
}

static void check(const struct model *m)
{
	const struct dax_window *w = m->fake->w;
	uint64_t missing = 0;
	const struct dax_piece *p;

	fake_check(m->fake);
	assert_true(w->npieces <= PIECES);
	for (unsigned int page = 0; page < WINDOW; page++) {
		const struct model_file *mf = m->claimed[page];

		if (mf && m->offset[page] < mf->size && !mf->f->bare && !mf->f->unsettled)
			missing++;
	}
	for (unsigned int i = 0; i < w->nclaims; i++) {
		const struct dax_file *f = w->claims[i]->file;

		TAILQ_FOREACH(p, &w->claims[i]->pieces, link) {
			for (uint64_t at = 0; at < p->len; at += DAX_PAGE)
				check_page(m, p, at);
			missing -= f->bare || f->unsettled ? 0 : p->len / DAX_PAGE;
		}
	}
	assert_int_equal(missing, 0);
}

static void check_file(const struct model_file *mf)
{
	static char there[BYTES];
	struct stat st;

	assert_int_equal(fstat(mf->fd, &st), 0);
	assert_int_equal(st.st_size, mf->size);
	assert_int_equal(pread(mf->fd, there, mf->size, 0), mf->size);
	assert_memory_equal(there, mf->bytes, mf->size);
}

static void settle_all(struct model *m)
{
	for (unsigned int i = 0; i < FILES; i++) {
		int r = dax_settle(m->files[i].f);

		assert_true(r == 0 || r == -ENOSPC);
	}
}

/* Some changes are interrupted from now on, for some time. */
static void interrupt(struct model *m)
{
	m->fake->interrupt_after = m->interrupts && pick(m, 3) == 0 ? pick(m, 4) : UINT_MAX;
	m->fake->interrupted_are_made = pick(m, 2);
	m->fake->resume_after = pick(m, 3) + 1;
}

static void resume(struct model *m)
{
	bool was = m->fake->resume_after == 0 || m->fake->interrupt_after != UINT_MAX;

	m->fake->interrupt_after = UINT_MAX;
	m->fake->resume_after = 0;
	if (m->interrupts && was)
		settle_all(m);
}

static void step_map(struct model *m)
{
	struct model_file *mf = pick_file(m);
	uint64_t len = 1 + pick(m, PAGES), at = pick(m, WINDOW), offset = pick(m, PAGES);
	int r;

	len = min_t(uint64_t, len, WINDOW - at);
	interrupt(m);
	r = dax_map(mf->f, at * DAX_PAGE, len * DAX_PAGE, offset * DAX_PAGE, true);
	if (r == -ENOSPC) {
		ask_mirror(m);
	} else {
		assert_true(r == 0 || (r == -EINTR && m->interrupts));
		for (uint64_t i = 0; i < len; i++) {
			m->claimed[at + i] = r == 0 ? mf : NULL;
			m->offset[at + i] = (offset + i) * DAX_PAGE;
		}
	}
	resume(m);
}

static void step_unmap(struct model *m)
{
	uint64_t at = pick(m, WINDOW), len = 1 + pick(m, 8);
	int r;

	len = min_t(uint64_t, len, WINDOW - at);
	interrupt(m);
	r = dax_unmap(m->fake->w, at * DAX_PAGE, len * DAX_PAGE);
	assert_true(r == 0 || r == -ENOSPC || (r == -EINTR && m->interrupts));
	if (r == -ENOSPC)
		ask_mirror(m);
	else
		memset(&m->claimed[at], 0, len * sizeof(m->claimed[0]));
	resume(m);
}

static void step_store(struct model *m)
{
	struct dax_window *w = m->fake->w;
	const struct dax_piece *p;
	unsigned int n = pick(m, 4);

	if (w->nclaims == 0)
		return;
	TAILQ_FOREACH(p, &w->claims[pick(m, w->nclaims)]->pieces, link) {
		uint64_t at = pick(m, (uint32_t)p->len), most = 1 + pick(m, 300);
		size_t len = min_t(uint64_t, most, p->len - at);
		struct model_file *mf = p->file == m->files[0].f ? &m->files[0] : &m->files[1];

		for (size_t i = 0; i < len; i += 1 + n) {
			char byte = (char)pick(m, 256);

			m->fake->memory[p->at + at + i] = byte;
			if (p->offset + at + i < mf->size)
				mf->bytes[p->offset + at + i] = byte;
		}
	}
}

/* What the daemon does around a request that writes. */
static void step_write(struct model *m)
{
	struct model_file *mf = pick_file(m);
	uint64_t at = pick(m, BYTES), most = 1 + pick(m, 3 * DAX_PAGE);
	size_t len = min_t(uint64_t, most, BYTES - at);
	char byte = (char)pick(m, 256);

	memset(mf->bytes + at, byte, len);
	mf->size = max_t(uint64_t, mf->size, at + len);
	assert_int_equal(pwrite(mf->fd, mf->bytes + at, len, (off_t)at), len);
	dax_wrote(mf->f, at, len);
	interrupt(m);
	if (dax_is_unsettled(mf->f))
		dax_settle(mf->f);
	resume(m);
}

static void step_truncate(struct model *m)
{
	struct model_file *mf = pick_file(m);
	uint64_t size = pick(m, 3) ? pick(m, BYTES) : pick(m, PAGES) * (uint64_t)DAX_PAGE;
	struct dax_shrink shrink;
	int r;

	interrupt(m);
	r = dax_shrink(mf->f, &shrink, size);
	assert_true(r == 0 || m->interrupts);
	if (r == 0 && pick(m, 4) > 0) {
		assert_int_equal(ftruncate(mf->fd, (off_t)size), 0);
		if (size < mf->size)
			memset(mf->bytes + size, 0, BYTES - size);
		mf->size = size;
	}
	dax_shrunk(mf->f, &shrink);
	resume(m);
}

static void step_safe(struct model *m)
{
	struct model_file *mf = pick_file(m);
	bool safe = pick(m, 2);
	int r;

	interrupt(m);
	r = dax_set_safe(mf->f, safe, pick(m, 4) > 0);
	assert_true(r == 0 || r == -ENOSPC || m->interrupts);
	mf->safe = safe;
	/* Somebody on the host truncates it as soon as he may. */
	if (!safe && pick(m, 2)) {
		uint64_t size = pick(m, (uint32_t)mf->size + 1);

		assert_int_equal(ftruncate(mf->fd, (off_t)size), 0);
		memset(mf->bytes + size, 0, BYTES - size);
		mf->size = size;
		dax_settle(mf->f);
	}
	resume(m);
}

static void step_flush(struct model *m)
{
	struct model_file *mf = pick_file(m);

	assert_int_equal(dax_flush(mf->f), 0);
	check_file(mf);
}

static void step_settle(struct model *m)
{
	interrupt(m);
	dax_settle(pick_file(m)->f);
	resume(m);
	if (pick(m, 4) == 0)
		dax_settle_all(m->fake->w);
}

static void step_reset(struct model *m)
{
	if (pick(m, 8) > 0)
		return;
	if (pick(m, 2)) {
		dax_window_reset(m->fake->w);
	} else {
		dax_window_dropped(m->fake->w);
		m->fake->nmaps = 0;
	}
	memset(m->claimed, 0, sizeof(m->claimed));
	for (unsigned int i = 0; i < FILES; i++)
		check_file(&m->files[i]);
}

static void run(struct model *m, uint32_t seed)
{
	void (*const steps[])(struct model *) = {step_map, step_map, step_unmap, step_store,
		step_store, step_store, step_write, step_truncate, step_safe, step_flush,
		step_settle, step_reset};

	m->random = seed;
	for (unsigned int i = 0; i < FILES; i++) {
		struct model_file *mf = &m->files[i];

		mf->fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		mf->safe = i == 0;
		mf->size = 0;
		memset(mf->bytes, 0, BYTES);
		mf->f = dax_file_new(m->fake->w, mf->fd, true, mf->safe);
		assert_non_null(mf->f);
	}
	memset(m->claimed, 0, sizeof(m->claimed));
	for (unsigned int i = 0; i < STEPS; i++) {
		steps[pick(m, ARRAY_SIZE(steps))](m);
		check(m);
	}
	for (unsigned int i = 0; i < FILES; i++) {
		dax_file_free(m->files[i].f);
		check_file(&m->files[i]);
		close(m->files[i].fd);
	}
	fake_check(m->fake);
	assert_int_equal(m->fake->w->nclaims, 0);
	fake_free(m->fake);
}

static void test_like_qemu(void **state)
{
	static struct model m;

	m.fake = fake_new(WINDOW, PIECES);
	run(&m, 0x1234567);
}

static void test_mapping_over(void **state)
{
	static struct model m;

	m.fake = fake_new(WINDOW, PIECES);
	m.fake->maps_over = true;
	run(&m, 0x89abcde);
	assert_false(m.interrupts);
}

static void test_interrupted(void **state)
{
	static struct model m;

	m.fake = fake_new(WINDOW, PIECES);
	m.interrupts = true;
	run(&m, 0xf012345);
}

/* Copies are all that there is. */
static void test_refusing_files(void **state)
{
	static struct model m;

	m.fake = fake_new(WINDOW, PIECES);
	m.fake->refuses_files = true;
	run(&m, 0x6789abc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_like_qemu),
		cmocka_unit_test(test_mapping_over),
		cmocka_unit_test(test_interrupted),
		cmocka_unit_test(test_refusing_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

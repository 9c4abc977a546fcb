// SPDX-License-Identifier: BSD-2-Clause
#include "coherence/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "coherence/file.h"
#include "coherence/words.h"
#include "metrics/tally.h"

#define RETRY_MS 5

/* How long a table may be in the making for those who are patient: as long as it takes a busy host
 * to fill a large one. */
#define MAKING_MS(patience) (2000 + 5 * (patience))

static struct vtable *new_table(uint64_t slots)
{
	struct vtable *t = aligned_alloc(_Alignof(struct vtable), sizeof(*t));

	if (!t)
		return NULL;
	memset(t, 0, sizeof(*t));
	t->fd = t->dir = t->lock = t->proc = -1;
	t->wanted = slots;
	door_init(&t->inside);
	return t;
}

void vtable_close(struct vtable *t)
{
	if (!t)
		return;
	file_unmap(t);
	close_fd(&t->lock);
	close_fd(&t->dir);
	door_destroy(&t->inside);
	free(t->name);
	free(t->key_name);
	explicit_bzero(t->key, sizeof(t->key));
	free(t);
}

void vtable_disown_descriptors(struct vtable *t)
{
	t->fd = t->dir = t->lock = t->proc = -1;
}

void vtable_populate(const struct vtable *t)
{
	madvise(t->map, (size_t)vt_used(t->slots), MADV_POPULATE_WRITE);
}

void vtable_enter(struct vtable *t)
{
	door_enter(&t->inside);
}

void vtable_leave(struct vtable *t)
{
	door_leave(&t->inside);
}

bool vtable_is_poisoned(const struct vtable *t)
{
	return atomic_load_explicit(words_head(t, poison), memory_order_relaxed) != 0;
}

void vtable_poison(struct vtable *t)
{
	atomic_store(words_head(t, poison), 1);
}

void vtable_bump_epoch(struct vtable *t)
{
	tally_add(TALLY_TABLE_EPOCHS, 1);
	atomic_fetch_add(words_head(t, epoch), 1);
}

/* Ends the changes of the dead, whatever came of them. The epoch moves as well: of what a dead
 * server would have looked after once its system call was done, nobody knows. */
static void bury(struct vtable *t)
{
	vtable_bump_epoch(t);
	for (uint64_t i = 0; i < t->slots; i++) {
		vtable_word *word = words_slot(t, i);
		uint64_t now = atomic_load_explicit(word, memory_order_relaxed);

		if (!vt_is_quiet(now))
			atomic_store(word, vt_settled(now));
	}
}

/* What somebody else's layout or rubbish is in the way of is left alone: -EINVAL. */
static int attach_alone(struct vtable *t, const char **why)
{
	bool fresh = false;
	int r = file_read_key(t, &fresh, why);

	if (r == 0)
		r = file_attach(t, why);
	if (r < 0 && r != -ENOENT)
		return r;
	if (!t->wanted)
		t->wanted = r == 0 ? t->slots : VTABLE_SLOTS;
	if (r == 0 && !fresh && t->slots == t->wanted && !vtable_is_poisoned(t)) {
		bury(t);
		return 0;
	}
	/* Guests may have it still. */
	if (r == 0)
		vtable_poison(t);
	file_unmap(t);
	return file_replace(t, why);
}

/* With the shared lock held: the table that is there, as it is. */
static int attach_beside(struct vtable *t, const char **why)
{
	int r = file_read_key(t, NULL, why);

	if (r == 0)
		r = file_attach(t, why);
	if (r == 0)
		t->wanted = t->slots;
	return r;
}

/* One attempt, without waiting. -EAGAIN: somebody is making a table, or has not left a poisoned
 * one. After an error there is neither a lock nor a map. */
static int attach(struct vtable *t, const char **why)
{
	int r = file_lock(t, F_WRLCK);

	if (r == 0) {
		r = attach_alone(t, why);
		/* From exclusive to shared in one step: nobody gets in between. */
		if (r == 0)
			r = file_lock(t, F_RDLCK);
	} else if (r == -EAGAIN) {
		r = file_lock(t, F_RDLCK);
		if (r == 0)
			r = attach_beside(t, why);
		if (r == 0 && vtable_is_poisoned(t))
			r = -EAGAIN;
	}
	if (r < 0) {
		file_unmap(t);
		file_lock(t, F_UNLCK);
	}
	return r;
}

/* Somebody has the exclusive lock, and is to come to an end with it soon. -EBUSY: does not,
 * stopped by a signal perhaps. */
static int wait_for_maker(struct vtable *t, int patience)
{
	uint64_t end = clock_ms() + (uint64_t)patience;
	int r;

	while ((r = file_lock(t, F_RDLCK)) == -EAGAIN) {
		if (clock_ms() >= end)
			return -EBUSY;
		nanosleep(&(struct timespec){.tv_nsec = RETRY_MS * 1000000}, NULL);
	}
	return r;
}

/*
 * The exclusive lock can be had only in a moment when nobody has the shared one, so between
 * attempts we have neither; nothing of ours is in flight meanwhile. At the end we are attached to
 * what is there, be it poisoned (1, else 0): so long as we are, no other table can come into use
 * that our changes are not marked in. After an error there is neither a lock nor a map.
 */
static int attach_patiently(struct vtable *t, int patience, const char **why)
{
	uint64_t end = clock_ms() + (uint64_t)patience;
	int r;

	for (;;) {
		r = attach(t, why);
		if (r != -EAGAIN)
			return r;
		if (clock_ms() >= end)
			break;
		nanosleep(&(struct timespec){.tv_nsec = RETRY_MS * 1000000}, NULL);
	}
	/* Once is enough, where others wait for us meanwhile and are told so. */
	r = wait_for_maker(t, t->lost ? patience : MAKING_MS(patience));
	if (r == -EBUSY)
		*why = "a process that began to make it does not come to an end";
	if (r == 0)
		r = attach_beside(t, why);
	if (r == 0)
		return vtable_is_poisoned(t);
	file_unmap(t);
	file_lock(t, F_UNLCK);
	return r;
}

/* An administrator can do something about it, if told who it is. */
static void name_maker(const struct vtable *t, const char *path)
{
	pid_t pid = file_find_holder(t);

	if (pid)
		log_error("version table %s: process %d has %s locked; continue it if it is "
			  "stopped, or end it", path, (int)pid, t->key_name);
	else
		log_error("version table %s: the process that has %s locked has to be continued, "
			  "or ended", path, t->key_name);
}

int vtable_open(struct vtable **out, const char *path, uint64_t slots, int patience)
{
	struct vtable *t = new_table(slots);
	const char *why = NULL;
	int r;

	if (!t)
		return -ENOMEM;
	r = file_find(t, path, &why);
	if (r == 0)
		r = attach_patiently(t, patience, &why);
	if (r < 0) {
		log_error("version table %s: %s (%s)", path, why ? why : "it cannot be attached",
			strerror(-r));
		if (r == -EBUSY)
			name_maker(t, path);
		vtable_close(t);
		return r;
	}
	*out = t;
	return 0;
}

/* Memory: what is mapped now can be written, by nothing that is mapped or opened later. */
static int fill_memory(struct vtable *t)
{
	CLEANUP_FD int fd = memfd_create("causeway-versions", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char path[64];
	int r;

	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0600) < 0)
		return -errno;
	r = file_fill(t, fd, t->wanted);
	if (r == 0 && t->share)
		t->share(t->opaque, fd);
	if (r == 0 && fcntl(fd, F_ADD_SEALS,
			F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0)
		r = -errno;
	if (r < 0)
		return r;
	/* The name begins at the root unless there is a descriptor to begin from. */
	snprintf(path, sizeof(path), "%s%d", t->proc < 0 ? "/proc/self/fd/" : "", fd);
	t->fd = openat(t->proc, path, O_RDONLY | O_CLOEXEC);
	return t->fd < 0 ? -errno : 0;
}

int vtable_make(struct vtable **out, uint64_t slots)
{
	struct vtable *t = new_table(slots);
	int r;

	if (!t)
		return -ENOMEM;
	r = file_random(t->key, sizeof(t->key));
	if (r == 0)
		r = fill_memory(t);
	if (r < 0) {
		vtable_close(t);
		return r;
	}
	*out = t;
	return 0;
}

/* What is attached, while something else takes its place. */
struct attached {
	char *map;
	size_t bytes;
	uint64_t slots;
	uint8_t id[VT_ID_SIZE];
	int fd;
};

static struct attached take_off(struct vtable *t)
{
	struct attached a = {.map = t->map, .bytes = t->bytes, .slots = t->slots, .fd = t->fd};

	memcpy(a.id, t->id, sizeof(a.id));
	t->map = NULL;
	t->fd = -1;
	return a;
}

static void put_back(struct vtable *t, const struct attached *a)
{
	t->map = a->map;
	t->bytes = a->bytes;
	t->slots = a->slots;
	t->fd = a->fd;
	memcpy(t->id, a->id, sizeof(t->id));
}

int vtable_adopt(struct vtable *t, int fd)
{
	struct attached old = take_off(t);
	const char *why = NULL;
	int r = file_map(t, fd, &why);

	if (r < 0) {
		put_back(t, &old);
		return r;
	}
	munmap(old.map, old.bytes);
	close_fd(&old.fd);
	return 0;
}

/* Nobody is inside: 0, 1 (a poisoned one), or -errno with the old one as it was. */
static int replace(struct vtable *t, int patience)
{
	struct attached old = take_off(t);
	const char *why = NULL;
	int r;

	if (t->lock < 0) {
		r = fill_memory(t);
	} else {
		file_lock(t, F_UNLCK);
		r = attach_patiently(t, patience, &why);
	}
	if (r >= 0) {
		munmap(old.map, old.bytes);
		close(old.fd);
		t->lost = t->told = false;
		return r;
	}
	file_unmap(t);
	put_back(t, &old);
	if (!t->told)
		log_error("version table: %s (%s)%s", why ? why : "no other can be made",
			strerror(-r),
			t->lock < 0 ? "" : "; until there is one, nothing is changed");
	t->told = true;
	t->lost = t->lock >= 0;
	return r;
}

int vtable_renew(struct vtable *t, int patience)
{
	int r = door_close(&t->inside, patience);

	if (r < 0)
		return r;
	if (vtable_is_poisoned(t))
		r = replace(t, patience);
	door_open(&t->inside);
	return r > 0 ? -EAGAIN : r;
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * The version table as servers have it: made, attached to, given up and made anew; what is not one,
 * or could be written by others, is refused; marks of the dead go when nobody else is there.
 */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/log.h"
#include "coherence/file.h"
#include "coherence/table.h"
#include "coherence/words.h"
#include "proto/version_wire.h"

#define SLOTS    64
#define PATIENCE 30000

static char place[64];

/* A table has to be on a tmpfs. */
static int setup(void **state)
{
	setenv("TMPDIR", "/dev/shm", 1);
	unit_enter_directory(place);
	return 0;
}

static int teardown(void **state)
{
	unit_leave_directory(place);
	return 0;
}

static struct vtable *open_table(const char *path)
{
	struct vtable *t = NULL;

	assert_int_equal(vtable_open(&t, path, SLOTS, PATIENCE), 0);
	return t;
}

static uint64_t word_of(struct vtable *t, uint32_t slot)
{
	return atomic_load(words_slot(t, slot));
}

static uint64_t epoch_of(struct vtable *t)
{
	return atomic_load(words_head(t, epoch));
}

static void begin(struct vtable *t, struct vtable_change *c, uint32_t slot)
{
	vtable_begin(t, c, &slot, 1);
}

static void test_hash(void **state)
{
	static const uint64_t short_ones[] = {0x726fdb47dd0e0e31, 0x74f839c593dc67fd,
		0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d, 0xcf2794e0277187b7, 0x18765564cd99a68d,
		0xcbc9466e58fee3ce, 0xab0200f58b01d137};
	uint8_t key[HASH_KEY_SIZE], data[64];

	for (uint8_t i = 0; i < sizeof(data); i++)
		data[i] = i;
	memcpy(key, data, sizeof(key));
	/* From the paper that defines it, and from the table of its authors' program. */
	assert_true(hash_siphash(key, data, 15) == 0xa129ca6149be45e5ull);
	for (size_t i = 0; i < ARRAY_SIZE(short_ones); i++)
		assert_true(hash_siphash(key, data, i) == short_ones[i]);
	assert_true(hash_siphash(key, data, 8) == 0x93f5f5799a932462ull);
	key[3] ^= 1;
	assert_true(hash_siphash(key, data, 15) != 0xa129ca6149be45e5ull);
}

/* The hash of what is found (0: inodes, 1: a name in one) in one piece. */
static uint64_t hash_by_piece(const struct vtable *t, uint64_t what, dev_t dev, ino_t ino,
	const char *name)
{
	struct {
		uint64_t word[3];
		char name[64];
	} data = {.word = {what, dev, ino}};

	strcpy(data.name, name);
	return hash_siphash(t->key, &data, sizeof(data.word) + strlen(name));
}

/* Whatever was hashed before, and of which table. */
static void test_slots_of_many(void **state)
{
	static const char *const names[] = {"a", "b", "some name", "exactly8",
		"a much longer name"};
	struct vtable *t[2];

	for (int i = 0; i < 2; i++)
		assert_int_equal(vtable_make(&t[i], 1024), 0);
	for (unsigned int i = 0; i < 64; i++) {
		const struct vtable *one = t[i % 2];
		const dev_t dev = 1 + i / 2 % 2;
		const ino_t ino = 100 + i / 4 % 4 * 9;
		const char *name = names[i % ARRAY_SIZE(names)];

		/* Those of one inode are beside each other, and those of 16. */
		for (unsigned int kind = VTABLE_ATTR; kind <= VTABLE_LIST; kind++)
			assert_int_equal(vtable_slot(one, kind, dev, ino),
				(hash_by_piece(one, 0, dev, ino / 16, "") ^ ino % 16 * 4 ^ kind) &
					1023);
		assert_int_equal(vtable_slot_of_name(one, dev, ino, name),
			hash_by_piece(one, 1, dev, ino, name) & 1023);
	}
	for (int i = 0; i < 2; i++)
		vtable_close(t[i]);
}

static void test_words(void **state)
{
	uint64_t word = 7ull << VT_IN_FLIGHT_BITS, end = UINT64_MAX - VT_IN_FLIGHT;

	assert_true(vt_is_quiet(word));
	assert_false(vt_is_quiet(word + VT_BEGIN));
	assert_true(word + VT_BEGIN + VT_END == 8ull << VT_IN_FLIGHT_BITS);
	assert_true(vt_is_alone(word, word + VT_BEGIN + VT_END));
	assert_false(vt_is_alone(word, word));
	assert_false(vt_is_alone(word + VT_BEGIN, word + 2 * VT_BEGIN + VT_END));
	assert_false(vt_is_alone(word, word + 2 * (VT_BEGIN + VT_END)));
	assert_false(vt_is_alone(word, word + VT_BEGIN + VT_END + VT_BEGIN));
	assert_true(vt_settled(word) == word);
	assert_true(vt_settled(word + 3 * VT_BEGIN) == 10ull << VT_IN_FLIGHT_BITS);
	/* Versions go round, and nothing else is touched. */
	assert_true(vt_is_alone(end, end + VT_BEGIN + VT_END));
	assert_true(end + VT_BEGIN + VT_END == 0);
}

static void test_trust(void **state)
{
	const struct vt_stamp stamp = {.epoch = 5, .word = 3ull << 16, .slot = SLOTS - 1};
	struct vt_stamp other = stamp;

	assert_true(vt_is_trusted(&stamp, 5, 0, 3ull << 16));
	assert_false(vt_is_trusted(&stamp, 6, 0, 3ull << 16));
	assert_false(vt_is_trusted(&stamp, 4, 0, 3ull << 16));
	assert_false(vt_is_trusted(&stamp, 5, 1, 3ull << 16));
	assert_false(vt_is_trusted(&stamp, 5, 0, 4ull << 16));
	assert_false(vt_is_trusted(&stamp, 5, 0, 2ull << 16));
	assert_false(vt_is_trusted(&stamp, 5, 0, (3ull << 16) + 1));
	assert_true(vt_may_keep(&stamp, SLOTS));
	other.slot = SLOTS;
	assert_false(vt_may_keep(&other, SLOTS));
	other.slot = UINT64_MAX;
	assert_false(vt_may_keep(&other, SLOTS));
	other = stamp;
	other.word++;
	assert_false(vt_may_keep(&other, SLOTS));
}

struct row {
	const char *op;
	unsigned int looks, changes;
};
#define ROW(op, looks, marks, more, when) {#op, looks, (marks) | (more)},
static const struct row rows[] = {VT_OPS(ROW)};

/* What a stranger who reads docs/coherence.md takes them for. */
static void test_wire(void **state)
{
	unsigned int most = 0;

	assert_int_equal(offsetof(struct vt_header, id), 16);
	assert_int_equal(offsetof(struct vt_header, epoch), 64);
	assert_int_equal(offsetof(struct vt_header, poison), 72);
	assert_int_equal(offsetof(struct vt_header, timed), 80);
	assert_int_equal(offsetof(struct vt_header, watcher), 128);
	assert_int_equal(sizeof(struct vt_hello_in), 24);
	assert_int_equal(sizeof(struct vt_hello_out), 64);
	assert_int_equal(vt_words_size(0, 0), 0);
	assert_int_equal(vt_words_size(VT_NODE_ATTR, 0), 16 + 16);
	assert_int_equal(vt_words_size(VT_FOUND, VT_MAKES), 16 + 2 * 16 + 4 * 24);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if ((rows[i].looks | rows[i].changes) >> VT_TOUCH_BITS)
			fail_msg("%s has bits that are nothing", rows[i].op);
		most = max_t(unsigned int, most, vt_bits(rows[i].changes));
	}
	/* There is room for every operation's marks. */
	assert_int_equal(most, VTABLE_TOUCHES);
}

/* Kinds, inodes and names have slots of their own, the same ones for each server. */
static void test_slots(void **state)
{
	struct vtable *a = open_table("t"), *b = open_table("t");
	uint32_t seen[SLOTS] = {0};
	unsigned int used = 0;

	for (ino_t ino = 0; ino < 1000; ino++) {
		uint32_t slot = vtable_slot(a, VTABLE_ATTR, 1, ino);

		assert_in_range(slot, 0, SLOTS - 1);
		assert_int_equal(slot, vtable_slot(b, VTABLE_ATTR, 1, ino));
		used += seen[slot]++ == 0;
	}
	assert_int_equal(used, SLOTS);
	vtable_close(a);
	vtable_close(b);
	/* With so many slots no two of these share one, but for once in 2^24 keys. */
	assert_int_equal(vtable_open(&a, "big", 1 << 20, 0), 0);
	uint32_t some[] = {vtable_slot(a, VTABLE_ATTR, 1, 2), vtable_slot(a, VTABLE_DATA, 1, 2),
		vtable_slot(a, VTABLE_LIST, 1, 2), vtable_slot_of_name(a, 1, 2, "name"),
		vtable_slot_of_name(a, 1, 2, "nam"), vtable_slot_of_name(a, 1, 3, "name")};
	unsigned int same = 0;

	for (size_t i = 0; i < ARRAY_SIZE(some); i++)
		for (size_t k = 0; k < i; k++)
			same += some[i] == some[k];
	assert_in_range(same, 0, 1);
	vtable_close(a);
}

#define PAGE        4096
#define PRESENT     (1ull << 63) /* of an entry of /proc/PID/pagemap */
#define MAPPED      (1u << 14)
#define MAPPED_SIZE (VT_HEADER_SIZE + MAPPED * 8)

/* No request waits for a page of the table to be mapped. */
static void test_mapped(void **state)
{
	uint64_t entries[MAPPED_SIZE / PAGE];
	struct vtable *t;
	int fd;

	assert_int_equal(vtable_open(&t, "mapped", MAPPED, 0), 0);
	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, entries, sizeof(entries),
		(off_t)((uintptr_t)t->map / PAGE * sizeof(entries[0]))), sizeof(entries));
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		assert_true(entries[i] & PRESENT);
	close(fd);
	vtable_close(t);
}

static void test_shared(void **state)
{
	int fds = unit_open_fds();
	struct vtable *a = open_table("t"), *b;
	struct vtable_change c = {0};
	struct stat st;

	assert_int_equal(stat("t", &st), 0);
	assert_int_equal(st.st_size, vt_size(SLOTS));
	assert_int_equal(stat("t.key", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	b = open_table("t");
	assert_memory_equal(a->id, b->id, VT_ID_SIZE);
	assert_memory_equal(a->key, b->key, HASH_KEY_SIZE);
	begin(a, &c, 5);
	assert_true(word_of(b, 5) == VT_BEGIN);
	vtable_end(a, &c);
	assert_true(word_of(b, 5) == VT_BEGIN + VT_END);
	/* Who attaches beside others keeps their number of slots. */
	vtable_close(b);
	assert_int_equal(vtable_open(&b, "t", 2 * SLOTS, PATIENCE), 0);
	assert_int_equal(b->slots, SLOTS);
	vtable_close(a);
	vtable_close(b);
	assert_int_equal(unit_open_fds(), fds);
}

static void test_change(void **state)
{
	const uint32_t slots[] = {1, 2, 1};
	struct vtable *t;
	struct vtable_change c = {0}, d = {0};
	struct vt_stamp stamp;

	assert_int_equal(vtable_make(&t, SLOTS), 0);
	vtable_enter(t);
	assert_true(vtable_look(t, 1, &stamp));
	vtable_begin(t, &c, slots, ARRAY_SIZE(slots));
	begin(t, &c, 2);
	/* Two operands in one slot: one mark. */
	assert_int_equal(c.n, 2);
	assert_true(word_of(t, 1) == VT_BEGIN && word_of(t, 2) == VT_BEGIN);
	assert_false(vtable_look(t, 1, &stamp));
	assert_null(vtable_touch_of(&c, 3));
	begin(t, &d, 2);
	vtable_end(t, &c);
	assert_true(vtable_touch_of(&c, 1)->alone && !vtable_touch_of(&c, 2)->alone);
	assert_true(c.touch[0].before == 0 && c.touch[0].after == VT_BEGIN + VT_END);
	vtable_end(t, &d);
	assert_false(d.touch[0].alone);
	assert_true(word_of(t, 2) == 2 * (VT_BEGIN + VT_END));
	vtable_pass_on(t, 2);
	assert_true(word_of(t, 2) == 3 * (VT_BEGIN + VT_END));
	assert_true(vtable_look(t, 2, &stamp) && stamp.epoch == epoch_of(t));
	vtable_bump_epoch(t);
	assert_true(stamp.epoch + 1 == epoch_of(t));
	vtable_leave(t);
	vtable_close(t);
}

/* One slot for all: slow, and right. */
static void test_one_slot(void **state)
{
	struct vtable *t;
	struct vtable_change c = {0};

	assert_int_equal(vtable_make(&t, 1), 0);
	begin(t, &c, vtable_slot(t, VTABLE_ATTR, 1, 2));
	begin(t, &c, vtable_slot_of_name(t, 1, 2, "x"));
	assert_int_equal(c.n, 1);
	vtable_end(t, &c);
	assert_true(c.touch[0].alone);
	vtable_close(t);
}

/* A server that ends in the middle of a change, by a signal. */
static void die_in_change(const char *path, uint32_t slot)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct vtable_change c = {0};
		struct vtable *t;

		if (vtable_open(&t, path, SLOTS, PATIENCE) < 0)
			_exit(1);
		begin(t, &c, slot);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_dead(void **state)
{
	struct vtable *a = open_table("t"), *b;
	struct vt_stamp stamp, later;
	uint64_t epoch;

	assert_true(vtable_look(a, 9, &stamp));
	die_in_change("t", 9);
	assert_false(vtable_look(a, 9, &later));
	/* Beside others nobody can tell a mark of the dead from theirs. */
	b = open_table("t");
	assert_true(word_of(b, 9) == stamp.word + VT_BEGIN);
	vtable_close(b);
	epoch = epoch_of(a);
	vtable_close(a);
	a = open_table("t");
	assert_true(word_of(a, 9) == stamp.word + VT_BEGIN + VT_END);
	assert_true(epoch_of(a) != epoch);
	assert_true(vtable_look(a, 9, &later));
	vtable_close(a);
}

/* Marks that are never taken off end in a new table, not in a word that looks quiet. */
static void test_crowd(void **state)
{
	struct vtable *a = open_table("t");
	struct vtable_change c = {0};

	atomic_store(words_slot(a, 3), VT_CROWD - 1);
	begin(a, &c, 3);
	assert_false(vtable_is_poisoned(a));
	c.n = 0;
	begin(a, &c, 3);
	assert_true(vtable_is_poisoned(a));
	assert_int_equal(vtable_renew(a, PATIENCE), 0);
	assert_true(word_of(a, 3) == 0);
	vtable_close(a);
}

static void test_renew(void **state)
{
	struct vtable *a = open_table("t");
	char *old = mmap(NULL, a->bytes, PROT_READ, MAP_SHARED, a->fd, 0);
	struct vt_stamp stamp;
	uint8_t id[VT_ID_SIZE];
	struct stat st;

	assert_ptr_not_equal(old, MAP_FAILED);
	assert_int_equal(chmod("t", 0644), 0);
	assert_int_equal(vtable_renew(a, PATIENCE), 0);
	memcpy(id, a->id, sizeof(id));
	assert_true(vtable_look(a, 1, &stamp));
	vtable_poison(a);
	assert_false(vtable_look(a, 1, &stamp));
	assert_int_equal(vtable_renew(a, PATIENCE), 0);
	assert_memory_not_equal(a->id, id, VT_ID_SIZE);
	assert_int_equal(a->slots, SLOTS);
	/* Who has the old one sees that it is over; its words do not fit the new one. */
	assert_true(((struct vt_header *)old)->poison);
	assert_true(epoch_of(a) != ((struct vt_header *)old)->epoch);
	assert_int_equal(fstat(a->fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(munmap(old, a->bytes), 0);
	vtable_close(a);
}

/* Bytes of files of the private directory, removed ones too, that are mapped. */
static size_t mapped_bytes(void)
{
	unsigned long from, to;
	char line[512];
	size_t sum = 0;
	FILE *f = fopen("/proc/self/maps", "r");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (strstr(line, place) && sscanf(line, "%lx-%lx", &from, &to) == 2)
			sum += to - from;
	}
	fclose(f);
	return sum;
}

/* A new table may have another size: all of the old one is unmapped, and nothing else. */
static void test_renew_size(void **state)
{
	struct vtable *t = open_table("t");

	assert_int_equal(mapped_bytes(), 4096 * 2); /* SLOTS fit a page */
	for (uint64_t slots = 1 << 16; slots >= 1 << 10; slots /= 4) {
		t->wanted = slots;
		vtable_poison(t);
		assert_int_equal(vtable_renew(t, PATIENCE), 0);
		assert_int_equal(t->slots, slots);
		assert_int_equal(mapped_bytes(), vt_size(slots));
		vtable_pass_on(t, (uint32_t)slots - 1);
	}
	vtable_close(t);
}

struct renewal {
	struct vtable *t;
	int result;
};

static void *renew(void *arg)
{
	struct renewal *r = arg;

	r->result = vtable_renew(r->t, PATIENCE);
	return NULL;
}

/* A new table comes when all have left the old one, and is the same for all. */
static void test_renew_together(void **state)
{
	struct vtable *a = open_table("t"), *b = open_table("t"), *c = NULL;
	struct renewal r = {.t = b};
	uint8_t id[VT_ID_SIZE];
	pthread_t thread;

	memcpy(id, a->id, sizeof(id));
	vtable_poison(a);
	/* b has not noticed. */
	assert_int_equal(vtable_renew(a, 0), -EAGAIN);
	assert_true(vtable_is_poisoned(a) && vtable_is_poisoned(b));
	assert_memory_equal(a->id, id, VT_ID_SIZE);
	assert_int_equal(vtable_open(&c, "t", SLOTS, 0), 0);
	assert_true(vtable_is_poisoned(c));
	vtable_close(c);
	assert_int_equal(pthread_create(&thread, NULL, renew, &r), 0);
	assert_int_equal(vtable_renew(a, PATIENCE), 0);
	pthread_join(thread, NULL);
	assert_int_equal(r.result, 0);
	assert_memory_equal(a->id, b->id, VT_ID_SIZE);
	assert_memory_not_equal(a->id, id, VT_ID_SIZE);
	vtable_pass_on(a, 1);
	assert_true(word_of(b, 1) == VT_BEGIN + VT_END);
	vtable_close(a);
	vtable_close(b);
}

/* While somebody is inside, and may be changing something, there is no new table. */
static void test_renew_waits(void **state)
{
	struct vtable *a = open_table("t"), *b = open_table("t");
	struct renewal r = {.t = b};
	uint8_t id[VT_ID_SIZE];
	pthread_t thread;

	memcpy(id, a->id, sizeof(id));
	vtable_enter(b);
	vtable_poison(a);
	assert_int_equal(pthread_create(&thread, NULL, renew, &r), 0);
	assert_int_equal(vtable_renew(a, 100), -EAGAIN);
	assert_memory_equal(a->id, id, VT_ID_SIZE);
	assert_memory_equal(b->id, id, VT_ID_SIZE);
	vtable_leave(b);
	assert_int_equal(vtable_renew(a, PATIENCE), 0);
	pthread_join(thread, NULL);
	assert_int_equal(r.result, 0);
	assert_memory_not_equal(b->id, id, VT_ID_SIZE);
	vtable_close(a);
	vtable_close(b);
}

/* More slots are had by whoever finds nobody there; guests of the old table hear of it. */
static void test_other_number(void **state)
{
	struct vtable *a = open_table("t");
	int fd = dup(a->fd);
	struct vt_header head;

	vtable_close(a);
	assert_int_equal(vtable_open(&a, "t", 2 * SLOTS, PATIENCE), 0);
	assert_int_equal(a->slots, 2 * SLOTS);
	assert_int_equal(pread(fd, &head, sizeof(head), 0), sizeof(head));
	assert_true(head.poison);
	close(fd);
	vtable_close(a);
	assert_int_equal(vtable_open(&a, "t", 0, PATIENCE), 0);
	assert_int_equal(a->slots, 2 * SLOTS);
	vtable_close(a);
}

/* Whether nobody has any lock on the first byte of the key. */
static bool is_unlocked(void)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
	int fd = open("t.key", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_OFD_GETLK, &lock), 0);
	close(fd);
	return lock.l_type == F_UNLCK;
}

/* A child that has the exclusive lock, and has been stopped over it. */
static pid_t stop_a_maker(void)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
	pid_t child = fork();
	int status;

	if (child == 0) {
		int fd = open("t.key", O_RDWR | O_CLOEXEC);

		must(fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) == 0);
		raise(SIGSTOP);
		_exit(0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	assert_true(WIFSTOPPED(status));
	return child;
}

static void continue_maker(pid_t child)
{
	int status;

	assert_int_equal(kill(child, SIGCONT), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* Who begins to make a table and goes no further holds up nobody for ever, and is named. */
static void test_stopped_maker(void **state)
{
	struct vtable *t = open_table("t"), *none = NULL;
	pid_t child;

	vtable_close(t);
	child = stop_a_maker();
	assert_int_equal(vtable_open(&none, "t", SLOTS, 0), -EBUSY);
	assert_null(none);
	continue_maker(child);
	/* A server that has left its table for another one changes nothing until that is there. */
	t = open_table("t");
	assert_int_equal(file_find_holder(t), 0);
	vtable_poison(t);
	assert_int_equal(file_lock(t, F_UNLCK), 0);
	child = stop_a_maker();
	assert_int_equal(file_find_holder(t), child);
	assert_int_equal(vtable_renew(t, 0), -EBUSY);
	assert_true(vtable_is_lost(t));
	assert_int_equal(vtable_renew(t, 0), -EBUSY);
	continue_maker(child);
	assert_true(is_unlocked());
	assert_int_equal(vtable_renew(t, PATIENCE), 0);
	assert_false(vtable_is_lost(t));
	vtable_close(t);
}

struct late {
	struct vtable *t;
	_Atomic pid_t tid;
	int result;
};

static void *renew_late(void *arg)
{
	struct late *l = arg;

	atomic_store(&l->tid, gettid());
	l->result = vtable_renew(l->t, 0);
	return NULL;
}

/* Nothing but the maker is what it can sleep for. */
static bool is_asleep(pid_t tid)
{
	char path[64], text[128] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	/* It has ended: then it does not wait either. */
	if (fd < 0)
		return true;
	must(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strstr(text, ") S ");
}

/* The maker comes to an end, and has made nothing: who waited for it is in nobody's way. */
static void test_lost_beside(void **state)
{
	struct late l = {.t = open_table("t")};
	pthread_t thread;
	pid_t child;

	vtable_poison(l.t);
	assert_int_equal(file_lock(l.t, F_UNLCK), 0);
	child = stop_a_maker();
	assert_int_equal(rename("t", "elsewhere"), 0);
	assert_int_equal(pthread_create(&thread, NULL, renew_late, &l), 0);
	while (!atomic_load(&l.tid) || !is_asleep(l.tid))
		usleep(200);
	continue_maker(child);
	pthread_join(thread, NULL);
	assert_int_equal(l.result, -ENOENT);
	assert_true(vtable_is_lost(l.t));
	assert_true(is_unlocked());
	assert_int_equal(vtable_renew(l.t, PATIENCE), 0);
	assert_false(vtable_is_lost(l.t));
	vtable_close(l.t);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_slots_of_many),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_trust),
		cmocka_unit_test(test_wire),
		CASE(test_slots),
		CASE(test_mapped),
		CASE(test_shared),
		cmocka_unit_test(test_change),
		cmocka_unit_test(test_one_slot),
		CASE(test_dead),
		CASE(test_crowd),
		CASE(test_renew),
		CASE(test_renew_size),
		CASE(test_renew_together),
		CASE(test_renew_waits),
		CASE(test_other_number),
		CASE(test_stopped_maker),
		CASE(test_lost_beside),
	};

	log_open("test", LOG_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-2-Clause
#include "mapper.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLOTS = 8192, WORDS = 10, LINE = 1 << 16, CHUNK = 1 << 16, UNIT = 16, PAGE = 4096 };

struct command {
	const char *name;
	int words; /* with the name and the slot */
	command_fn *run;
};

static struct slot slots[SLOTS];
static sigjmp_buf fault;

static void give_up(const char *what, const char *word)
{
	fprintf(stderr, "mapper: %s: %s\n", what, word);
	exit(2);
}

uint64_t number(const char *word)
{
	char *end;
	uint64_t n = strtoull(word, &end, 10);

	if (end == word || *end)
		give_up("no number", word);
	return n;
}

void answer(long result)
{
	if (result < 0)
		fputs(strerrorname_np(errno), stdout);
	else
		printf("%ld", result);
}

char *mapped(struct slot *s, uint64_t offset, uint64_t len)
{
	if (!s->map || offset < s->offset || offset + len > s->offset + s->len)
		give_up("not in the mapping", "");
	return s->map + (offset - s->offset);
}

struct slot *slot_of(const char *word)
{
	return &slots[number(word) % SLOTS];
}

bool may_fault(bool (*touch)(volatile char *p, void *arg), volatile char *p, void *arg)
{
	volatile bool good = false;
	sigjmp_buf outer;

	memcpy(outer, fault, sizeof(fault));
	if (!sigsetjmp(fault, 1))
		good = touch(p, arg);
	memcpy(fault, outer, sizeof(fault));
	return good;
}

void pattern(char *to, uint64_t offset, size_t len, uint64_t seed)
{
	char unit[UNIT + 1];

	for (size_t done = 0; done < len;) {
		size_t skip = (offset + done) % UNIT, n = UNIT - skip;

		if (n > len - done)
			n = len - done;
		snprintf(unit, sizeof(unit), "%08x%08x", (unsigned int)seed,
			(unsigned int)((offset + done) / UNIT));
		memcpy(to + done, unit + skip, n);
		done += n;
	}
}

/* CRC-32 as zlib has it, so that Python's is the same. */
static uint32_t checksum(uint32_t sum, const volatile char *p, size_t n)
{
	static uint32_t table[256];

	for (unsigned int i = 0; !table[255] && i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
		table[i] = c;
	}
	sum = ~sum;
	for (size_t i = 0; i < n; i++)
		sum = table[(sum ^ (unsigned char)p[i]) & 255] ^ sum >> 8;
	return ~sum;
}

static void do_open(struct slot *s, char **argv)
{
	static const struct {
		const char *name;
		int flags;
	} modes[] = {{"r", O_RDONLY}, {"w", O_WRONLY}, {"rw", O_RDWR}, {"new", O_RDWR | O_CREAT},
		{"empty", O_RDWR | O_CREAT | O_TRUNC}, {"append", O_RDWR | O_APPEND},
		{"direct", O_RDWR | O_DIRECT}, {"sync", O_RDWR | O_SYNC}};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcmp(argv[3], modes[i].name)) {
			s->fd = open(argv[2], modes[i].flags | O_CLOEXEC, 0644);
			answer(s->fd < 0 ? -1 : 0);
			return;
		}
	give_up("no mode", argv[3]);
}

static void do_close(struct slot *s, char **argv)
{
	answer(close(s->fd));
	s->fd = -1;
}

static void do_map(struct slot *s, char **argv)
{
	int prot = strchr(argv[4], 'w') ? PROT_READ | PROT_WRITE : PROT_READ;

	s->offset = number(argv[2]);
	s->len = number(argv[3]);
	s->map = mmap(NULL, s->len, prot, strchr(argv[4], 'p') ? MAP_PRIVATE : MAP_SHARED, s->fd,
		(off_t)s->offset);
	if (s->map == MAP_FAILED)
		s->map = NULL;
	answer(s->map ? 0 : -1);
}

static void do_unmap(struct slot *s, char **argv)
{
	answer(munmap(s->map, s->len));
	s->map = NULL;
}

static void do_load(struct slot *s, char **argv)
{
	uint64_t len = number(argv[3]);

	printf("%08x", checksum(0, mapped(s, number(argv[2]), len), len));
}

/* One byte of each page: what must be there for a load to work. */
static void do_touch(struct slot *s, char **argv)
{
	uint64_t len = number(argv[3]);
	volatile char *p = mapped(s, number(argv[2]), len);
	unsigned int sum = 0;

	for (uint64_t at = 0; at < len; at += PAGE)
		sum += (unsigned char)p[at];
	printf("%u", sum);
}

static void do_text(struct slot *s, char **argv)
{
	uint64_t len = number(argv[3]);
	volatile char *p = mapped(s, number(argv[2]), len);

	for (uint64_t i = 0; i < len; i++) {
		char c = p[i];

		putchar(c < ' ' || c > '~' ? '.' : c);
	}
}

static void do_store(struct slot *s, char **argv)
{
	size_t len = strlen(argv[3]);

	memcpy(mapped(s, number(argv[2]), len), argv[3], len);
	fputs("0", stdout);
}

static void do_fill(struct slot *s, char **argv)
{
	uint64_t len = number(argv[3]);

	pattern(mapped(s, number(argv[2]), len), number(argv[2]), len, number(argv[4]));
	fputs("0", stdout);
}

static void do_sync(struct slot *s, char **argv)
{
	answer(msync(s->map, s->len, MS_SYNC));
}

static void do_read(struct slot *s, char **argv)
{
	static char buf[CHUNK] __attribute__((aligned(PAGE)));
	uint64_t at = number(argv[2]), len = number(argv[3]);
	uint32_t sum = 0;

	for (uint64_t done = 0; done < len;) {
		size_t n = len - done < CHUNK ? len - done : CHUNK;
		ssize_t got = pread(s->fd, buf, n, (off_t)(at + done));

		if (got < 0) {
			answer(-1);
			return;
		}
		if (got == 0)
			break;
		sum = checksum(sum, buf, (size_t)got);
		done += (uint64_t)got;
	}
	printf("%08x", sum);
}

static void do_write(struct slot *s, char **argv)
{
	static char buf[CHUNK] __attribute__((aligned(PAGE)));
	uint64_t at = number(argv[2]), len = number(argv[3]);

	for (uint64_t done = 0; done < len;) {
		size_t n = len - done < CHUNK ? len - done : CHUNK;
		ssize_t wrote;

		pattern(buf, at + done, n, number(argv[4]));
		wrote = pwrite(s->fd, buf, n, (off_t)(at + done));
		if (wrote <= 0) {
			answer(-1);
			return;
		}
		done += (uint64_t)wrote;
	}
	fputs("0", stdout);
}

static void do_put(struct slot *s, char **argv)
{
	answer(pwrite(s->fd, argv[3], strlen(argv[3]), (off_t)number(argv[2])));
}

static void do_size(struct slot *s, char **argv)
{
	struct stat st = {.st_size = -1};
	int r = fstat(s->fd, &st);

	answer(r ? -1 : st.st_size);
}

static void do_truncate(struct slot *s, char **argv)
{
	answer(ftruncate(s->fd, (off_t)number(argv[2])));
}

static void do_allocate(struct slot *s, char **argv)
{
	answer(fallocate(s->fd, 0, (off_t)number(argv[2]), (off_t)number(argv[3])));
}

static void do_punch(struct slot *s, char **argv)
{
	answer(fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)number(argv[2]),
		(off_t)number(argv[3])));
}

static void do_collapse(struct slot *s, char **argv)
{
	answer(fallocate(s->fd, FALLOC_FL_COLLAPSE_RANGE, (off_t)number(argv[2]),
		(off_t)number(argv[3])));
}

static void do_insert(struct slot *s, char **argv)
{
	answer(fallocate(s->fd, FALLOC_FL_INSERT_RANGE, (off_t)number(argv[2]),
		(off_t)number(argv[3])));
}

static void do_mode(struct slot *s, char **argv)
{
	answer(fchmod(s->fd, (mode_t)number(argv[2])));
}

static void do_fsync(struct slot *s, char **argv)
{
	answer(fsync(s->fd));
}

/* From another file into the mapping, and back: with O_DIRECT a guest lends the mapping itself. */
static void do_read_into(struct slot *s, char **argv)
{
	uint64_t at = number(argv[2]), len = number(argv[3]);

	answer(pread(slot_of(argv[4])->fd, mapped(s, at, len), len, (off_t)at));
}

static void do_write_from(struct slot *s, char **argv)
{
	uint64_t at = number(argv[2]), len = number(argv[3]);

	answer(pwrite(slot_of(argv[4])->fd, mapped(s, at, len), len, (off_t)at));
}

/* Whether Linux maps the file itself, or keeps pages of its own. */
static void do_is_dax(struct slot *s, char **argv)
{
	struct statx stx = {.stx_mask = 0};

	answer(statx(s->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx)
			? -1
			: !!(stx.stx_attributes & STATX_ATTR_DAX));
}

static const struct command commands[] = {
	{"open", 4, do_open},         /* SLOT PATH MODE */
	{"close", 2, do_close},       /* SLOT */
	{"map", 5, do_map},           /* SLOT OFFSET LENGTH r, rw, rp or rwp (private) */
	{"unmap", 2, do_unmap},       /* SLOT */
	{"load", 4, do_load},         /* SLOT OFFSET LENGTH: checksum */
	{"touch", 4, do_touch},       /* SLOT OFFSET LENGTH: sum of a byte of each page */
	{"text", 4, do_text},         /* SLOT OFFSET LENGTH: what is there */
	{"store", 4, do_store},       /* SLOT OFFSET TEXT */
	{"fill", 5, do_fill},         /* SLOT OFFSET LENGTH SEED */
	{"msync", 2, do_sync},        /* SLOT */
	{"read", 4, do_read},         /* SLOT OFFSET LENGTH: checksum of what pread() has */
	{"write", 5, do_write},       /* SLOT OFFSET LENGTH SEED, by pwrite() */
	{"put", 4, do_put},           /* SLOT OFFSET TEXT, by pwrite() */
	{"size", 2, do_size},         /* SLOT */
	{"truncate", 3, do_truncate}, /* SLOT SIZE */
	{"allocate", 4, do_allocate}, /* SLOT OFFSET LENGTH */
	{"punch", 4, do_punch},       /* SLOT OFFSET LENGTH */
	{"collapse", 4, do_collapse}, /* SLOT OFFSET LENGTH */
	{"insert", 4, do_insert},     /* SLOT OFFSET LENGTH */
	{"mode", 3, do_mode},         /* SLOT MODE: by fchmod() */
	{"fsync", 2, do_fsync},       /* SLOT */
	{"isdax", 2, do_is_dax},      /* SLOT */
	{"readinto", 5, do_read_into},   /* SLOT OFFSET LENGTH OTHER-SLOT */
	{"writefrom", 5, do_write_from}, /* SLOT OFFSET LENGTH OTHER-SLOT */
	{"turns", 6, do_turns},       /* SLOT OFFSET ME PARTIES ROUNDS */
	{"hammer", 6, do_hammer},     /* SLOT ME PARTIES ROUNDS SEED */
	{"learn", 4, do_learn},       /* SLOT OTHER-SLOT SIZE */
	{"chase", 6, do_chase},       /* SLOT OTHER-SLOT SIZE OFFSET ME */
	{"model", 6, do_model},       /* SLOT STEPS SIZE SEED cached|direct|loaded|whole */
};

static void on_fault(int sig)
{
	siglongjmp(fault, sig);
}

static const struct command *find(const char *name, int words)
{
	for (size_t i = 0; name && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(name, commands[i].name) && words == commands[i].words)
			return &commands[i];
	give_up("no command, or not its words", name ? name : "");
	return NULL;
}

static void run(const struct command *command, struct slot *s, char **argv)
{
	int sig = sigsetjmp(fault, 1);

	if (!sig)
		command->run(s, argv);
	else
		fputs(sig == SIGBUS ? "SIGBUS" : "SIGSEGV", stdout);
	putchar('\n');
	fflush(stdout);
}

static void perform(char *line)
{
	char *argv[WORDS + 1] = {NULL};
	const struct command *command;
	int argc = 0;
	uint64_t slot;

	for (char *word = strtok(line, " \n"); word && argc < WORDS; word = strtok(NULL, " \n"))
		argv[argc++] = word;
	command = find(argv[0], argc);
	slot = number(argv[1]);
	if (slot >= SLOTS)
		give_up("no slot", argv[1]);
	run(command, &slots[slot], argv);
}

int main(void)
{
	static char line[LINE];
	struct sigaction action = {.sa_handler = on_fault};

	for (size_t i = 0; i < SLOTS; i++)
		slots[i].fd = -1;
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	while (fgets(line, sizeof(line), stdin))
		perform(line);
	return 0;
}

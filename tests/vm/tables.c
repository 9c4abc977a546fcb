// SPDX-License-Identifier: BSD-2-Clause
//
// What a program in a guest does with version tables that are the memory of ivshmem devices: finds
// the one of an id among all devices, and reads words where they are (docs/coherence.md,
// "Agreement").
//
//   tables list                     for each ivshmem device: its address, and id and slots, or what
//                                   is wrong with what it has (enum vt_fault)
//   tables word ID SLOT             the word, in hexadecimal
//   tables wait ID SLOT WORD        the word, and once it is not WORD, it again
//   tables head ID                  epoch, poison, timed, watcher
//   tables store ID SLOT WORD       what the word is after that was stored in it
//   tables rest ID                  whether what is behind the slots can be read, and is 0
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/version_table.h"

#define DEVICES "/sys/bus/pci/devices"
#define VENDOR  0x1af4
#define DEVICE  0x1110
#define POLL_NS 1000000

struct table {
	char device[64]; /* its address on the bus */
	char *map;
	uint64_t bytes;
	struct vt_header head; /* a copy; what the words in it say is old */
	enum vt_fault fault;
};

_Noreturn static void give_up(const char *what, const char *which)
{
	fprintf(stderr, "tables: %s: ", which);
	perror(what);
	exit(2);
}

static int open_of(const char *device, const char *file, int flags)
{
	char path[512];

	snprintf(path, sizeof(path), DEVICES "/%s/%s", device, file);
	return open(path, flags | O_CLOEXEC);
}

static unsigned long number_of(const char *device, const char *file)
{
	char text[32] = "";
	int fd = open_of(device, file, O_RDONLY);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		give_up(file, device);
	close(fd);
	return strtoul(text, NULL, 16);
}

/* No driver has the device, so nobody has made it answer at its addresses. */
static void enable(const char *device)
{
	int fd = open_of(device, "enable", O_WRONLY);

	if (fd < 0 || write(fd, "1", 1) != 1)
		give_up("enable", device);
	close(fd);
}

static void map_table(struct table *t, const char *device, bool writable)
{
	int prot = writable ? PROT_READ | PROT_WRITE : PROT_READ;
	int fd = open_of(device, "resource2", writable ? O_RDWR : O_RDONLY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		give_up("resource2", device);
	snprintf(t->device, sizeof(t->device), "%s", device);
	t->bytes = (uint64_t)st.st_size;
	t->map = mmap(NULL, t->bytes, prot, MAP_SHARED, fd, 0);
	if (t->map == MAP_FAILED)
		give_up("mmap", device);
	close(fd);
	if (t->bytes >= sizeof(t->head))
		memcpy(&t->head, t->map, sizeof(t->head));
	t->fault = vt_examine(&t->head, t->bytes);
}

/* Calls for each ivshmem device, until one is what was looked for. */
static bool each_table(bool (*is_it)(struct table *, const void *), const void *arg, bool writable,
	struct table *t)
{
	DIR *dir = opendir(DEVICES);
	struct dirent *e;
	bool found = false;

	if (!dir)
		give_up("opendir", DEVICES);
	while (!found && (e = readdir(dir))) {
		if (e->d_name[0] == '.' || number_of(e->d_name, "vendor") != VENDOR ||
			number_of(e->d_name, "device") != DEVICE)
			continue;
		enable(e->d_name);
		map_table(t, e->d_name, writable);
		found = is_it(t, arg);
		if (!found)
			munmap(t->map, t->bytes);
	}
	closedir(dir);
	return found;
}

static void print_id(const struct table *t, char out[2 * VT_ID_SIZE + 1])
{
	for (int i = 0; i < VT_ID_SIZE; i++)
		sprintf(out + 2 * i, "%02x", t->head.id[i]);
}

static bool print_table(struct table *t, const void *arg)
{
	char id[2 * VT_ID_SIZE + 1];

	(void)arg;
	print_id(t, id);
	if (t->fault == VT_GOOD)
		printf("%s %s %" PRIu64 "\n", t->device, id, t->head.slots);
	else
		printf("%s fault %d\n", t->device, t->fault);
	return false;
}

static bool has_id(struct table *t, const void *arg)
{
	char id[2 * VT_ID_SIZE + 1];

	print_id(t, id);
	return t->fault == VT_GOOD && !strcmp(id, arg);
}

static _Atomic uint64_t *word_at(const struct table *t, uint64_t offset)
{
	return (_Atomic uint64_t *)(t->map + offset);
}

static _Atomic uint64_t *slot_of(const struct table *t, const char *text)
{
	uint64_t slot = strtoull(text, NULL, 10);

	if (slot >= t->head.slots) {
		fprintf(stderr, "tables: no slot %s\n", text);
		exit(2);
	}
	return word_at(t, vt_slot_at(slot));
}

static uint64_t word_now(const struct table *t, const char *slot)
{
	return atomic_load_explicit(slot_of(t, slot), memory_order_acquire);
}

static void do_word(const struct table *t, char **args)
{
	printf("%" PRIx64 "\n", word_now(t, args[0]));
}

static void do_wait(const struct table *t, char **args)
{
	uint64_t old = strtoull(args[1], NULL, 16);

	do_word(t, args);
	fflush(stdout);
	while (word_now(t, args[0]) == old)
		nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
	do_word(t, args);
}

static void do_head(const struct table *t, char **args)
{
	static const size_t at[] = {offsetof(struct vt_header, epoch),
		offsetof(struct vt_header, poison), offsetof(struct vt_header, timed),
		offsetof(struct vt_header, watcher)};

	(void)args;
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		printf("%" PRIx64 "%c", *word_at(t, at[i]), i == 3 ? '\n' : ' ');
}

static void do_store(const struct table *t, char **args)
{
	atomic_store(slot_of(t, args[0]), strtoull(args[1], NULL, 16));
	do_word(t, args);
}

static void do_rest(const struct table *t, char **args)
{
	uint64_t seen = 0;

	(void)args;
	for (uint64_t at = vt_used(t->head.slots); at < t->bytes; at += 8)
		seen |= *word_at(t, at);
	printf("%s\n", seen ? "something" : "nothing");
}

static const struct {
	const char *name;
	int args; /* behind the id */
	void (*run)(const struct table *t, char **args);
	bool writes;
} commands[] = {
	{"word", 1, do_word, false},
	{"wait", 2, do_wait, false},
	{"head", 0, do_head, false},
	{"store", 2, do_store, true},
	{"rest", 0, do_rest, false},
};

int main(int argc, char **argv)
{
	struct table t;

	if (argc == 2 && !strcmp(argv[1], "list")) {
		each_table(print_table, NULL, false, &t);
		return 0;
	}
	for (size_t i = 0; argc >= 3 && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, argv[1]) || argc != commands[i].args + 3)
			continue;
		if (!each_table(has_id, argv[2], commands[i].writes, &t)) {
			fprintf(stderr, "tables: no device has the table %s\n", argv[2]);
			return 1;
		}
		commands[i].run(&t, argv + 3);
		return 0;
	}
	fprintf(stderr, "usage: tables list | word|wait|head|store|rest ID ...\n");
	return 2;
}

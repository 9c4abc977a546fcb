// SPDX-License-Identifier: BSD-2-Clause
//
// What the subcommands of `causeway` share.

#ifndef CAUSEWAY_TOOL_H
#define CAUSEWAY_TOOL_H

#include <stdbool.h>
#include <stdint.h>

#define EXIT_USAGE 2

// Each gets its own name as argv[0] and returns the exit status.
int cmd_bench(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_mount(int argc, char **argv);
int cmd_vm(int argc, char **argv);
int cmd_decode(int argc, char **argv);

// One line on standard error, beginning with "causeway: "; takes the progress line away first.
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// While the terminal is raw a line needs a carriage return as well.
extern bool say_to_raw_terminal;

// The progress line: replaced by the next one, erased by NULL. Only where standard error is a
// terminal.
void progress(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// asprintf that ends the process when memory is out, so that building a command line needs no
// checks. Owned by the caller.
char *format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// A copy in which that character is there twice each time. Owned by the caller.
char *doubled(const char *text, char c);

// Bytes: a number of mebibytes, or one with a unit; 0: it is none.
uint64_t parse_size(const char *value);

// A growing NULL-terminated list of strings that it owns. Zero-initialised is empty.
struct words {
	char **v;
	unsigned int n;
};

void words_add(struct words *w, const char *word); // keeps a copy
void words_addf(struct words *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void words_free(struct words *w);
#define AUTO_WORDS __attribute__((cleanup(words_free)))

// Frees what points to malloc'd memory: for __attribute__((cleanup(free_pointer))).
void free_pointer(void *p);
#define AUTO_FREE __attribute__((cleanup(free_pointer)))

// A file that belongs to us: beside this program, or at `build` or `installed` relative to its
// directory. NULL: not found. Owned by the caller.
char *find_own(const char *name, const char *build, const char *installed);

// The daemon to run: that of the variable CAUSEWAYD, ours, or the one in PATH. Owned by the caller.
char *find_causewayd(void);

void close_fd(const int *fd);
#define AUTO_CLOSE __attribute__((cleanup(close_fd)))

#endif

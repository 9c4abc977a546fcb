// SPDX-License-Identifier: BSD-2-Clause
#ifndef CAUSEWAY_TESTS_FSCASES_H
#define CAUSEWAY_TESTS_FSCASES_H
/*
 * File semantics cases. A case runs in a fresh directory that is its working directory, in a
 * process of its own, with umask 022, and writes what happened as lines `CASE: LABEL = RESULT`.
 * The lines are the same on every run over the same file system: no inode numbers, no times, no
 * descriptor numbers. So the transcript of one mount can be compared with that of another.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

struct fs_case {
	const char *name;
	void (*run)(void);
};

/* Each table ends with an empty name. */
extern const struct fs_case data_cases[];
extern const struct fs_case space_cases[];
extern const struct fs_case map_cases[];
extern const struct fs_case open_cases[];
extern const struct fs_case rename_cases[];
extern const struct fs_case link_cases[];
extern const struct fs_case path_cases[];
extern const struct fs_case dir_cases[];
extern const struct fs_case attr_cases[];
extern const struct fs_case owner_cases[];
extern const struct fs_case node_cases[];
extern const struct fs_case lock_cases[];
extern const struct fs_case race_cases[];

/* One line of the transcript. */
void say(const char *label, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Report a call's result: the number, or the name of errno when negative. Returns it. */
long report(const char *label, long result);

/* The same for descriptors, whose number says nothing. */
int report_fd(const char *label, int fd);

#define R(call) report(#call, (long)(call))
#define FD(call) report_fd(#call, (call))

/* Type, mode, links, owner and size (not of directories); symlinks are not followed. */
void show(const char *path);
void show_fd(const char *label, int fd);

/* Size and checksum of what read() gives, and the text itself where it is short and printable. */
void show_content(const char *path);

/* Make a file with this text, silently; abort the case when that fails. */
void put(const char *path, const char *text);

/* Bytes that differ at each offset and with each seed. */
void fill(void *buf, size_t len, uint64_t offset, unsigned int seed);
uint64_t checksum(uint64_t sum, const void *buf, size_t len);

/* Run a function in a child process and wait; its lines join the transcript. */
void in_child(void (*fn)(void *), void *arg);

/* Like in_child, as another user without supplementary groups but the given one (0: none). */
void as_user(uid_t uid, gid_t gid, gid_t extra, void (*fn)(void *), void *arg);

/* Wait until a time stamp taken from now on differs from those taken before. */
void next_tick(void);

/* Nanoseconds of a time stamp. */
int64_t stamp(const struct timespec *t);

/* The program itself, as given by argv[0]'s resolved path: for cases that execute something. */
extern const char *own_program;

/* Which case's lines these are. */
extern const char *current_case;

/*
 * The way by which calls of the cases reach their files: the system's own (way_host.c), or
 * libcauseway (tests/client/posix). A case enters it before it runs, in its process, with its
 * directory DIR/NAME as the working directory, and leaves it at the end: 0, or -1.
 */
int way_enter(const char *dir, const char *name);
int way_leave(void);

/* Takes an option of the way's own with its value; whether there is such. */
bool way_option(const char *option, const char *value);
extern const char way_usage[];

#endif

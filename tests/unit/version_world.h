// SPDX-License-Identifier: BSD-2-Clause
/*
 * A world for tests of what a file system makes of names and inodes where there is a version table:
 * a share with two files, of which each look at attributes passes through here, and another server.
 */
#ifndef TESTS_UNIT_VERSION_WORLD_H
#define TESTS_UNIT_VERSION_WORLD_H

#include "coherence/request.h"
#include "fs/passthrough/passthrough.h"

#define NEWER 0640 /* a mode that files do not have at first */

extern struct version_world {
	struct vtable *t;
	struct fs *fs; /* of "export", which has "f" and "g" */
	struct vtable_request v;
	char directory[64];
	unsigned int looks; /* system calls that read attributes */
	unsigned int vain;  /* ... of a name that is nobody's */
	unsigned int at;    /* after which of them the following happens; 0: never */
	void (*happens)(void);
	bool aged; /* files are older than they are, so that no test waits */
	struct {
		ino_t from, to; /* 0: none */
	} alias; /* an inode that has another one's number, and a later birth */
} w;

/* hot: nodes have descriptors; else files are aged. */
void version_world_start(bool hot);
void version_world_finish(void);

/* Skips where the file system keeps no times of birth: then nodes have descriptors. */
void need_births(void);

void write_file(const char *path);
ino_t number_of(const char *path);

/* Of a file's attributes; and what there is in a slot, and the table. */
uint32_t slot_of(const char *path);
uint64_t word_of(uint32_t slot);
uint64_t epoch_now(void);

/* Of the slot of a name in the share. */
uint32_t name_slot_of(const char *name);

/* Another server changes a file. */
void change(const char *path, mode_t mode);
void change_f(void);

/* What the last request has told of a bit. */
const struct vt_look *look_of(unsigned int bit);

/* What a guest may keep has the mode of now, if its word is that of now. */
void check_entry(const struct fs_entry *e, const struct vt_look *l, const char *path);

/* By a guest that has agreed to words. */
struct fs_entry look_up(const char *name);

/* All entries of a directory to l->add, whose duty l->left is; with words, or without. */
void list_directory(uint64_t directory, bool words, struct fs_listing *l);

#endif

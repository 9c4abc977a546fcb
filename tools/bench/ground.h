// SPDX-License-Identifier: BSD-2-Clause
//
// The directory that everything is measured on: one tree for all servers and for plain system
// calls. (With a tree for each, where its inodes and pages happen to lie makes a quarter of
// difference between two that are the same.)

#ifndef CAUSEWAY_TOOLS_BENCH_GROUND_H
#define CAUSEWAY_TOOLS_BENCH_GROUND_H

#include <stdint.h>
#include <sys/types.h>

#define GROUND_FILES 256      // small files in one directory
#define GROUND_FILE_SIZE 4096 // bytes of each
#define GROUND_LIST 2000
#define GROUND_LONG_LIST 100000
#define GROUND_WALK 8 // as many directories, as many in each, with twice as many files in those
#define GROUND_FIND_DIRS 1000  // in one directory, each
#define GROUND_FIND_FILES 1000 // with so many files
#define GROUND_DATA (64u << 20)
#define GROUND_XATTR "user.causeway"
#define GROUND_XATTR_SIZE 16

// Parts of the tree; only those are made that the chosen operations need.
enum {
	PART_FILES = 1,
	PART_LIST = 2,
	PART_LONG_LIST = 4,
	PART_WALK = 8,
	PART_DATA = 16,
	PART_FIND = 32,
};

struct ground {
	char *path;
	int fd;		 // of the tree's root
	uint64_t window; // with --dax: what its files are for
};

// Names in the tree.
extern char ground_files[GROUND_FILES][8];
#define GROUND_FILES_DIR "files"
#define GROUND_LIST_DIR "list"
#define GROUND_LONG_LIST_DIR "long-list"
#define GROUND_WALK_DIR "walk"
#define GROUND_FIND_DIR "find"
#define GROUND_DATA_FILE "data"
// Within the directory of files: what operations make and take away, and what one is renamed to.
#define GROUND_NEW "new"
#define GROUND_RENAMED "renamed"

// Makes the tree in a fresh directory below `dir`. 0 or -1 after saying what is wrong; then nothing
// is left of it.
int ground_make(struct ground *g, const char *dir, unsigned int parts);
// One that is there already, as a guest sees it; -errno leaves it to be closed, too.
int ground_open(struct ground *g, const char *path);
void ground_close(struct ground *g);
// Takes away what an operation left that was cut short.
void ground_restore(const struct ground *g);
void ground_remove(struct ground *g);
// A new file in one of its directories. 0 or -errno.
int ground_write_file(int dir, const char *name, uint64_t size);
// Removes a directory with all that is in it, and says so where that fails.
void ground_remove_all(const char *path);

#endif

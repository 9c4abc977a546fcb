// SPDX-License-Identifier: BSD-2-Clause
#include "shared_world.h"

#include "unit.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "coherence/words.h"

#define DEV 1

static void add(struct shared_world *w, uint64_t dir, const char *name, uint64_t ino, uint32_t mode,
	const char *bytes)
{
	struct world_inode *n = &w->both->inodes[ino];

	*n = (struct world_inode){.mode = mode, .size = strlen(bytes)};
	memcpy(n->bytes, bytes, n->size);
	if (name) {
		w->both->names[ino] = (struct world_name){.dir = dir, .ino = ino};
		strcpy(w->both->names[ino].name, name);
	}
}

void world_make(struct shared_world *w, uint64_t slots)
{
	memset(w, 0, sizeof(*w));
	strcpy(w->dir, "/dev/shm/shared-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/table", w->dir);
	w->both = mmap(NULL, sizeof(*w->both), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		-1, 0);
	assert_ptr_not_equal(w->both, MAP_FAILED);
	add(w, 0, NULL, ROOT, S_IFDIR | 0755, "");
	add(w, ROOT, "d", DIR_D, S_IFDIR | 0755, "");
	add(w, DIR_D, "f", FILE_F, S_IFREG | 0644, "content of f");
	add(w, DIR_D, "g", FILE_G, S_IFREG | 0644, "content of g");
	add(w, DIR_D, "l", LINK_L, S_IFLNK | 0777, "target");
	assert_int_equal(vtable_open(&w->t, w->path, slots, 0), 0);
	w->forger = forger_new();
	shared_serve_world(w);
	w->c = causeway_new();
	assert_int_equal(causeway_set(w->c, "cache", "shared"), 0);
	assert_int_equal(causeway_set(w->c, "version-table", w->path), 0);
}

int world_connect(struct shared_world *w)
{
	int sock = forger_start(w->forger);
	int r = causeway_connect_fd(w->c, sock);

	close(sock);
	return r;
}

void world_end(struct shared_world *w)
{
	world_unwatch(w);
	causeway_free(w->c);
	if (w->forger->child > 0)
		forger_end(w->forger);
	if (w->t)
		vtable_close(w->t);
	munmap(w->both, sizeof(*w->both));
	assert_int_equal(nftw(w->dir, unit_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

struct vtable_change other_begin(struct shared_world *w, unsigned int n, const uint32_t *slots)
{
	struct vtable_change change = {.n = 0};

	vtable_enter(w->t);
	vtable_begin(w->t, &change, slots, n);
	return change;
}

void other_end(struct shared_world *w, struct vtable_change *change)
{
	vtable_end(w->t, change);
	vtable_leave(w->t);
}

uint32_t slot_of(struct shared_world *w, enum vtable_kind kind, uint64_t ino)
{
	return vtable_slot(w->t, kind, DEV, ino);
}

uint32_t slot_of_name(struct shared_world *w, uint64_t dir, const char *name)
{
	return vtable_slot_of_name(w->t, DEV, dir, name);
}

static void *beat(void *arg)
{
	struct shared_world *w = arg;

	while (!atomic_load(&w->ends)) {
		atomic_fetch_add(words_head(w->t, watcher), 1);
		usleep(VT_BEAT_MS * 1000 / 5);
	}
	return NULL;
}

void world_watch(struct shared_world *w)
{
	atomic_store(&w->ends, false);
	/* The first is there before anybody looks. */
	atomic_fetch_add(words_head(w->t, watcher), 1);
	assert_int_equal(pthread_create(&w->watcher, NULL, beat, w), 0);
	w->watched = true;
}

void world_unwatch(struct shared_world *w)
{
	if (!w->watched)
		return;
	atomic_store(&w->ends, true);
	pthread_join(w->watcher, NULL);
	w->watched = false;
}

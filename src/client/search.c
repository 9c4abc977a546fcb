// SPDX-License-Identifier: BSD-2-Clause
/*
 * Whether we may search a directory, where names are kept by words: who walks over a name that is
 * kept asks nobody, and the directory's mode, owner or ACL may be others by now.
 *
 * That it may be searched is known under the word of its attributes: from ACCESS, or from a LOOKUP
 * in it that was not refused, if the word was the same before and after. Names that we make and
 * remove in it move the word, and leave this as it is. Where ACCESS refuses, the LOOKUP decides: a
 * back-end may answer the one by the rights of who asks, and the other by its own.
 */
#include <errno.h>
#include <unistd.h>

#include "client/file.h"
#include "client/walk.h"

static bool may_be_searched(struct causeway *c, struct node *dir)
{
	bool may;

	pthread_mutex_lock(&c->nodes.lock);
	may = validity_holds(c, &dir->search_valid);
	pthread_mutex_unlock(&c->nodes.lock);
	return may;
}

struct validity search_begin(struct causeway *c, struct node *dir, bool refused)
{
	struct validity v = {.word = NULL};
	struct fuse_attr unused;
	bool known;

	if (!c->options.cache->by_words)
		return v;
	/* An error has no words: those of the attributes say how long what LOOKUP says is so. */
	if (refused)
		client_know_attr(c, dir, NULL, &unused);
	pthread_mutex_lock(&c->nodes.lock);
	known = validity_holds(c, &dir->search_valid);
	if (!known && validity_holds(c, &dir->attr_valid))
		v = dir->attr_valid;
	pthread_mutex_unlock(&c->nodes.lock);
	/* Where it may not be searched the LOOKUP is told so. */
	if (!known && !v.word && !refused)
		search_check(c, dir);
	return v;
}

void search_passed(struct causeway *c, struct node *dir, const struct validity *v)
{
	if (!v->word)
		return;
	pthread_mutex_lock(&c->nodes.lock);
	if (validity_holds(c, v))
		dir->search_valid = *v;
	pthread_mutex_unlock(&c->nodes.lock);
}

int search_check(struct causeway *c, struct node *dir)
{
	struct fuse_access_in in = {.mask = X_OK};
	struct call call = {
		.opcode = FUSE_ACCESS,
		.nodeid = dir->id,
		.args = {CALL_STRUCT(in)},
		.nargs = 1,
	};
	struct validity v;
	int r;

	if (may_be_searched(c, dir))
		return 0;
	if (atomic_load(&c->no_access))
		return -ENOSYS;
	r = client_call(c, &call);
	if (r == -ENOSYS)
		atomic_store(&c->no_access, true);
	if (r < 0)
		return r;
	v = words_shown(c, &call.words, VT_NODE_ATTR);
	search_passed(c, dir, &v);
	return 0;
}

void search_moved(struct causeway *c, struct node *dir, const struct words *words, unsigned int bit)
{
	if (!words->came)
		return;
	pthread_mutex_lock(&c->nodes.lock);
	words_move(c, words, bit, &dir->search_valid);
	pthread_mutex_unlock(&c->nodes.lock);
}

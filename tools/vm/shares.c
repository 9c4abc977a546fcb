// SPDX-License-Identifier: BSD-2-Clause
//
// Shares as the command line names them: DIR[:TAG[:OPTION,...]] and PATH:TAG[:OPTION,...].
//
// Options are those of a mount: ro and rw, fstype=TYPE, and whatever that type knows, which only
// the guest's kernel can judge.

#include "vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TYPE_PREFIX "fstype="

static bool is_dir(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

static bool is_socket(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISSOCK(st.st_mode);
}

static int one_word(struct vm_share *s, const char *name, char *word)
{
	if (!*word) {
		say("--%s: an option of '%s' is empty", name, s->tag);
		return -EINVAL;
	}
	if (!strcmp(word, "ro") || !strcmp(word, "rw")) {
		s->readonly = word[1] == 'o';
	} else if (!strncmp(word, TYPE_PREFIX, strlen(TYPE_PREFIX))) {
		s->type = word + strlen(TYPE_PREFIX);
	} else {
		char *all = s->options ? format("%s,%s", s->options, word) : format("%s", word);

		free(s->options);
		s->options = all;
	}
	return 0;
}

// TAG[:OPTION,...], of which an empty TAG is none.
static int tag_and_options(struct vm_share *s, const char *name, char *text)
{
	char *options = strchr(text, ':');
	char *word;
	int ret = 0;

	if (options)
		*options++ = 0;
	s->tag = *text ? text : NULL;
	while (!ret && (word = strsep(&options, ",")))
		ret = one_word(s, name, word);
	return ret;
}

static int check_tag(const struct vm_options *o, const char *tag)
{
	if (!*tag || strlen(tag) > VM_TAG_MAX || strchr(tag, '/') || tag[0] == '.') {
		say("'%s' cannot be a tag: 1 to %d bytes, no '/', no leading '.'", tag, VM_TAG_MAX);
		return -EINVAL;
	}
	for (unsigned int i = 0; i < o->nshares; i++)
		if (!strcmp(o->shares[i].tag, tag)) {
			say("two shares have the tag '%s'", tag);
			return -EINVAL;
		}
	return 0;
}

static int add(struct vm_options *o, struct vm_share share)
{
	if (!share.tag)
		share.tag = o->nshares ? format("share%u", o->nshares + 1) : format("share");
	if (check_tag(o, share.tag))
		return -EINVAL;
	// One place stays free for the root.
	if (o->nshares == VM_SHARES_MAX - 1) {
		say("too many shares (at most %d)", VM_SHARES_MAX - 1);
		return -EINVAL;
	}
	share.conn = -1;
	o->shares[o->nshares++] = share;
	return 0;
}

int vm_share_add_dir(struct vm_options *o, const char *name, char *value)
{
	struct vm_share share = {0};
	// A directory whose name has a colon is taken as it is.
	char *colon = is_dir(value) ? NULL : strchr(value, ':');

	if (colon) {
		*colon = 0;
		if (tag_and_options(&share, name, colon + 1))
			return -EINVAL;
	}
	share.dir = realpath(value, NULL);
	if (!share.dir || !is_dir(share.dir)) {
		say("--%s: %s: %s", name, value, strerror(share.dir ? ENOTDIR : errno));
	} else if (share.tag && !strcmp(share.tag, VM_ROOT_TAG)) {
		say("--%s: the tag '%s' is the root's", name, VM_ROOT_TAG);
	} else if (!add(o, share)) {
		return 0;
	}
	free(share.dir);
	return -EINVAL;
}

int vm_share_add_socket(struct vm_options *o, const char *name, char *value)
{
	struct vm_share share = {.socket = value};
	char *colon = value;

	// A path may have colons: the first part of the value that is a socket is meant.
	while ((colon = strchr(colon, ':'))) {
		*colon = 0;
		if (is_socket(value))
			break;
		*colon++ = ':';
	}
	if (!colon && is_socket(value)) {
		say("--%s: needs PATH:TAG, not '%s'", name, value);
		return -EINVAL;
	}
	if (!colon) {
		say("--%s: %s: no socket there", name, value);
		return -EINVAL;
	}
	if (tag_and_options(&share, name, colon + 1))
		return -EINVAL;
	share.is_root = share.tag && !strcmp(share.tag, VM_ROOT_TAG);
	return add(o, share);
}

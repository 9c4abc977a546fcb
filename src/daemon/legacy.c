// SPDX-License-Identifier: BSD-2-Clause
/*
 * The options of older virtiofsd daemons: -o WORD[=VALUE],... A word is the long option of the
 * same name with dashes for underscores, but for the few that this file renames.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "daemon/parse.h"

#define NAME_MAX_LEN 40

static const struct alias {
	const char *word;
	const char *value; /* the value that is meant, or NULL: any */
	const char *name;  /* of the option */
	const char *arg;   /* instead of the value, or NULL: the value */
} aliases[] = {
	{"source", NULL, "shared-dir", NULL},
	{"loglevel", "err", "log-level", "error"},
	{"log_level", "err", "log-level", "error"},
	{"loglevel", NULL, "log-level", NULL},
	{"no_posix_acl", NULL, "posix-acl", "never"},
	{"no_security_label", NULL, "security-label", "never"},
};

/* What is so without a word, as long as there is no option for the opposite. */
static const char *const defaults[] = {
	"readdirplus",
};

/* For words that switch something off again that a flag has switched on. */
static const struct negation {
	const char *word;
	size_t flag; /* offset of a bool in struct options */
	bool value;
} negations[] = {
	{"no_writeback", offsetof(struct options, fuse.writeback), false},
	{"no_allow_direct_io", offsetof(struct options, fuse.direct_io), false},
	{"no_xattr", offsetof(struct options, fuse.xattr), false},
	{"no_posix_lock", offsetof(struct options, fuse.posix_lock), false},
	{"no_flock", offsetof(struct options, fuse.flock), false},
	{"readdirplus", offsetof(struct options, fuse.readdirplus), true},
};

static int set_timeout(struct parse *p, const char *value)
{
	int r = option_set(p, "attr-timeout", value);

	return r < 0 ? r : option_set(p, "entry-timeout", value);
}

static bool negate(struct options *o, const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(negations); i++) {
		if (strcmp(word, negations[i].word) == 0) {
			*(bool *)((char *)o + negations[i].flag) = negations[i].value;
			return true;
		}
	}
	return false;
}

static bool is_default(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
		if (strcmp(word, defaults[i]) == 0)
			return true;
	}
	return false;
}

static int set_word(struct parse *p, const char *word, const char *value)
{
	char name[NAME_MAX_LEN];
	char *c;

	for (size_t i = 0; i < ARRAY_SIZE(aliases); i++) {
		const struct alias *a = &aliases[i];

		if (strcmp(word, a->word) == 0 &&
			(!a->value || (value && strcmp(value, a->value) == 0)))
			return option_set(p, a->name, a->arg ? a->arg : value);
	}
	if (strcmp(word, "timeout") == 0)
		return set_timeout(p, value);
	if (!value && negate(p->o, word))
		return 0;
	snprintf(name, sizeof(name), "%s", word);
	while ((c = strchr(name, '_')))
		*c = '-';
	if (strlen(word) < sizeof(name) && option_exists(name))
		return option_set(p, name, value);
	if (!value && is_default(word))
		return 0;
	return fail(p, "-o %s: no such option; causewayd --help lists them", word);
}

int legacy_parse(struct parse *p, const char *list)
{
	char *rest, *word;
	int r = 0;

	if (p->o->legacy_used == ARRAY_SIZE(p->o->legacy))
		return fail(p, "-o: given more than %zu times", ARRAY_SIZE(p->o->legacy));
	rest = strdup(list);
	if (!rest)
		return fail(p, "-o: %s", strerror(ENOMEM));
	p->o->legacy[p->o->legacy_used++] = rest;
	while (r == 0 && (word = strsep(&rest, ","))) {
		char *value = strchr(word, '=');

		if (*word == '\0')
			continue;
		if (value)
			*value++ = '\0';
		r = set_word(p, word, value);
	}
	return r;
}

void options_free(struct options *o)
{
	while (o->legacy_used > 0)
		free(o->legacy[--o->legacy_used]);
	idmap_free(o->uids);
	idmap_free(o->gids);
	o->uids = o->gids = NULL;
}

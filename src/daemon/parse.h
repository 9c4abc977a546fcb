// SPDX-License-Identifier: BSD-2-Clause
/*
 * What the parts of the command line share: the option that is being read, and where an error
 * line goes.
 */
#ifndef DAEMON_PARSE_H
#define DAEMON_PARSE_H

#include <stdio.h>

#include "daemon/options.h"

struct parse {
	struct options *o;
	const char *name; /* of the option that is read */
	char *error;
	size_t size;
};

#define OPTIONS_MAX 64 /* long options that there can be */

/* One line of the table of long options. */
struct option_desc {
	const char *name;
	const char *arg; /* what it takes, or NULL; [=WHAT] may be left out */
	int (*set)(struct parse *p, const char *arg); /* 0, or -1 and an error line */
	const char *help; /* or NULL: not listed */
};

extern const struct option_desc option_descs[];
extern const size_t option_count;

/* option_isolation.c */

/* Which of n words the value of the option is; or -1 and an error line that has them all. */
int one_of(struct parse *p, const char *arg, const char *const *words, size_t n);
int set_sandbox(struct parse *p, const char *arg);
int set_seccomp(struct parse *p, const char *arg);
int set_modcaps(struct parse *p, const char *arg);
int set_uid_map(struct parse *p, const char *arg);
int set_gid_map(struct parse *p, const char *arg);

/* option_limits.c */
int set_thread_pool_size(struct parse *p, const char *arg);
int set_poll(struct parse *p, const char *arg);
int set_pins(struct parse *p, const char *arg);
int set_rlimit_nofile(struct parse *p, const char *arg);

/* without.c */
int set_without(struct parse *p, const char *arg);

/* Leaves out what is to be left out, before the other options are looked at together. */
int check_without(struct parse *p);

/* option_dax.c */
int set_dax_window(struct parse *p, const char *arg);
int set_dax(struct parse *p, const char *arg);

/* What neither of them alone can tell; tells the others what a window needs. */
int check_dax(struct parse *p);

/* option_version.c */
int set_version_table(struct parse *p, const char *arg);
int set_version_slots(struct parse *p, const char *arg);
int check_version(struct parse *p);

/* What no option of isolation alone can tell; tells isolation what the others need. */
int check_isolation(struct parse *p);

#define fail(p, ...) (snprintf((p)->error, (p)->size, __VA_ARGS__), -1)

/* Sets the long option of this name; arg is NULL where none was given. 0, or -1 and an error line:
 * there is no such option, or its value is wrong, missing or not taken. */
int option_set(struct parse *p, const char *name, const char *arg);

/* Whether there is a long option of this name. */
bool option_exists(const char *name);

/* One argument of -o: a list of words and of name=value, as older virtiofsd daemons took it. Each
 * becomes the long option that it names. The strings live on in p->o until options_free(). 0, or
 * -1 and an error line. */
int legacy_parse(struct parse *p, const char *list);

#endif

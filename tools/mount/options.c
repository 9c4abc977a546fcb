// SPDX-License-Identifier: BSD-2-Clause
//
// The command line of `causeway mount`, and of mount.fuse.causeway, which mount(8) calls. The
// words of -o are one table that parses and prints them.

#include "mount.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define QUEUES_MAX 64

struct word {
	const char *name, *arg; // without arg: alone
	int (*set)(struct mount_options *o, const struct word *w, const char *value);
	unsigned long on, off; // bits of mount(2)'s flags
	const char *help;      // without: stands beside the word before
};

static int set_flag(struct mount_options *o, const struct word *w, const char *value)
{
	o->flags = (o->flags & ~w->off) | w->on;
	words_add(&o->vfs, w->name);
	return 0;
}

static int parse_number(const struct word *w, const char *value, unsigned long min,
	unsigned long max, unsigned long *n)
{
	char *end;

	*n = strtoul(value, &end, 10);
	if (*value >= '0' && *value <= '9' && !*end && *n >= min && *n <= max)
		return 0;
	say("mount: -o %s: '%s' is no number from %lu to %lu", w->name, value, min, max);
	return -EINVAL;
}

static int set_queues(struct mount_options *o, const struct word *w, const char *value)
{
	unsigned long n;

	if (parse_number(w, value, 1, QUEUES_MAX, &n))
		return -EINVAL;
	o->queues = n;
	return 0;
}

static int set_max_read(struct mount_options *o, const struct word *w, const char *value)
{
	unsigned long n;

	if (parse_number(w, value, 4096, UINT_MAX, &n))
		return -EINVAL;
	words_addf(&o->kernel, "max_read=%lu", n);
	return 0;
}

static int set_allow_other(struct mount_options *o, const struct word *w, const char *value)
{
	words_add(&o->kernel, "allow_other");
	return 0;
}

static int set_fsname(struct mount_options *o, const struct word *w, const char *value)
{
	o->fsname = value;
	return 0;
}

static int set_subtype(struct mount_options *o, const struct word *w, const char *value)
{
	if (strchr(value, '.') || strchr(value, ',')) {
		say("mount: -o subtype: '%s' has a '.' or ','", value);
		return -EINVAL;
	}
	o->subtype = value;
	return 0;
}

static int set_daemon(struct mount_options *o, const struct word *w, const char *value)
{
	o->daemon = value;
	return 0;
}

static int set_daemon_option(struct mount_options *o, const struct word *w, const char *value)
{
	words_add(&o->daemon_options, value);
	return 0;
}

static int set_nothing(struct mount_options *o, const struct word *w, const char *value)
{
	return 0;
}

static int refuse_remount(struct mount_options *o, const struct word *w, const char *value)
{
	say("mount: -o remount: options are part of what was agreed with the back-end; unmount, "
	    "and mount anew");
	return -EOPNOTSUPP;
}

// clang-format off
#define FLAG(word, sets, clears, text) \
	{.name = word, .set = set_flag, .on = sets, .off = clears, .help = text}
#define WORD(word, takes, setter, text) {.name = word, .arg = takes, .set = setter, .help = text}
static const struct word words[] = {
	FLAG("ro", MS_RDONLY, 0, "read-only; a causewayd of ours gets --readonly too"),
	FLAG("rw", 0, MS_RDONLY, "not read-only (the default)"),
	FLAG("nosuid", MS_NOSUID, 0, "set-id bits have no effect (the default)"),
	FLAG("suid", 0, MS_NOSUID, "set-id bits have their effect"),
	FLAG("nodev", MS_NODEV, 0, "device files are no devices (the default)"),
	FLAG("dev", 0, MS_NODEV, "device files are devices"),
	FLAG("noexec", MS_NOEXEC, 0, "nothing is executed"),
	FLAG("exec", 0, MS_NOEXEC, "programs are executed (the default)"),
	FLAG("noatime", MS_NOATIME, 0, "as in mount(8), like the next ones"),
	FLAG("atime", 0, MS_NOATIME, NULL),
	FLAG("nodiratime", MS_NODIRATIME, 0, NULL),
	FLAG("diratime", 0, MS_NODIRATIME, NULL),
	FLAG("relatime", MS_RELATIME, MS_STRICTATIME, NULL),
	FLAG("norelatime", 0, MS_RELATIME, NULL),
	FLAG("strictatime", MS_STRICTATIME, MS_RELATIME, NULL),
	FLAG("nostrictatime", 0, MS_STRICTATIME, NULL),
	FLAG("sync", MS_SYNCHRONOUS, 0, NULL),
	FLAG("async", 0, MS_SYNCHRONOUS, NULL),
	FLAG("dirsync", MS_DIRSYNC, 0, NULL),
	WORD("allow_other", NULL, set_allow_other, "other users too, as permissions say"),
	WORD("default_permissions", NULL, set_nothing, "the kernel checks permissions; always so"),
	WORD("auto_unmount", NULL, set_nothing, "unmounted when we are killed; always so"),
	WORD("max_read", "BYTES", set_max_read, "the largest read"),
	WORD("queues", "N", set_queues, "request queues, 1 to 64, each with a thread (default: one "
					     "for each processor, 4 at most)"),
	WORD("fsname", "NAME", set_fsname, "what /proc/mounts shows as source"),
	WORD("subtype", "NAME", set_subtype, "the type there is fuse.NAME (default: causeway)"),
	WORD("daemon", "FILE", set_daemon, "the causewayd that shares DIR"),
	WORD("daemon_option", "ARG", set_daemon_option, "an option for it; can be given again"),
	WORD("defaults", NULL, set_nothing, "means nothing here, like the next ones of fstab"),
	WORD("auto", NULL, set_nothing, NULL),
	WORD("noauto", NULL, set_nothing, NULL),
	WORD("nofail", NULL, set_nothing, NULL),
	WORD("_netdev", NULL, set_nothing, NULL),
	WORD("user", NULL, set_nothing, NULL),
	WORD("user", "NAME", set_nothing, NULL),
	WORD("nouser", NULL, set_nothing, NULL),
	WORD("users", NULL, set_nothing, NULL),
	WORD("owner", NULL, set_nothing, NULL),
	WORD("group", NULL, set_nothing, NULL),
	WORD("comment", "TEXT", set_nothing, NULL),
	WORD("remount", NULL, refuse_remount, "refused"),
};
#undef FLAG
#undef WORD
// clang-format on

#define NWORDS (sizeof(words) / sizeof(words[0]))

static void print_help(void)
{
	printf("Usage: causeway mount SOCKET|DIR MOUNTPOINT [OPTION...]\n\n"
	       "Mounts what the vhost-user-fs back-end that listens at SOCKET exports, or DIR "
	       "through a causewayd\n"
	       "of its own, without a virtual machine.\n\n"
	       "  -f, --foreground         stay until it is unmounted\n"
	       "  -o WORD[,WORD...]        mount options; '\\,' is a comma within a word\n"
	       "      --help               show this\n\n"
	       "Words of -o, beside x-* of fstab:\n");
	for (size_t i = 0; i < NWORDS; i++) {
		char left[64];

		snprintf(left, sizeof(left), "%s%s%s", words[i].name, words[i].arg ? "=" : "",
			words[i].arg ? words[i].arg : "");
		printf("  %-24s %s\n", left, words[i].help ? words[i].help : "");
	}
}

// One word, whose copy stays.
static int set_word(struct mount_options *o, char *text)
{
	char *value = strchr(text, '=');
	size_t len = value ? (size_t)(value - text) : strlen(text);
	const struct word *other = NULL;

	if (!len || !strncmp(text, "x-", 2) || !strncmp(text, "X-", 2))
		return 0;
	for (size_t i = 0; i < NWORDS; i++) {
		if (strlen(words[i].name) != len || strncmp(words[i].name, text, len))
			continue;
		other = &words[i];
		if (!other->arg == !value)
			return other->set(o, other, value ? value + 1 : NULL);
	}
	if (other && other->arg)
		say("mount: -o %s needs an argument (%s=%s)", other->name, other->name, other->arg);
	else if (other)
		say("mount: -o %s takes no argument", other->name);
	else if (o->sloppy)
		return 0;
	else
		say("mount: no mount option '%.*s'; see causeway mount --help", (int)len, text);
	return -EINVAL;
}

// A list of words, in which a backslash keeps the comma or backslash behind it.
static int set_list(struct mount_options *o, const char *list)
{
	char *to, *word;
	int ret = 0;

	words_add(&o->lists, list);
	word = to = o->lists.v[o->lists.n - 1];
	for (const char *from = to; !ret; from++) {
		bool end = !*from || *from == ',';
		bool last = !*from;

		if (*from == '\\' && (from[1] == ',' || from[1] == '\\'))
			from++;
		if (!end) {
			*to++ = *from;
			continue;
		}
		*to++ = 0;
		ret = set_word(o, word);
		word = to;
		if (last)
			break;
	}
	return ret;
}

static int take_source(struct mount_options *o, const char *source)
{
	struct stat st;

	o->source = source;
	o->path = realpath(source, NULL);
	if (!o->path || stat(source, &st)) {
		say("mount: %s: %s", source, strerror(errno));
		return -errno;
	}
	// As fstab has it, so that it is found there.
	if (!o->fsname)
		o->fsname = *source == '/' ? source : o->path;
	o->is_dir = S_ISDIR(st.st_mode);
	if (o->is_dir)
		return 0;
	if (!S_ISSOCK(st.st_mode)) {
		say("mount: %s: neither a directory nor a back-end's socket", source);
		return -ENOTSOCK;
	}
	if (o->daemon || o->daemon_options.n) {
		say("mount: -o %s: the socket %s has its back-end already",
			o->daemon ? "daemon" : "daemon_option", source);
		return -EINVAL;
	}
	return 0;
}

static int take_point(struct mount_options *o, const char *point)
{
	size_t len = o->is_dir ? strlen(o->path) : 0;
	struct stat st;

	o->point = realpath(point, NULL);
	if (!o->point || stat(o->point, &st)) {
		say("mount: %s: %s%s", point, strerror(errno),
			errno == ENOTCONN ? "; unmount first what lost its server there" : "");
		return -errno;
	}
	if (!S_ISDIR(st.st_mode)) {
		say("mount: %s: %s", point, strerror(ENOTDIR));
		return -ENOTDIR;
	}
	// The daemon would meet the mount that it serves, and wait for itself.
	if (len && !strncmp(o->path, o->point, len) &&
		(o->path[len - 1] == '/' || !o->point[len] || o->point[len] == '/')) {
		say("mount: %s lies in %s, which would then contain itself; mount elsewhere", point,
			o->source);
		return -ELOOP;
	}
	return 0;
}

static const struct option long_options[] = {
	{"foreground", no_argument, NULL, 'f'},
	{"help", no_argument, NULL, 'h'},
	{},
};

// 0, 1 for --help, or -EINVAL.
static int take_option(struct mount_options *o, int c, char **argv)
{
	switch (c) {
	case 'o':
		return set_list(o, optarg);
	case 'f':
		o->fake = o->helper;
		o->foreground = !o->helper;
		return 0;
	case 'h':
		return 1;
	case 'r':
		return set_list(o, "ro");
	case 't':
		// mount(8) names the whole type.
		return strchr(optarg, '.') ? set_subtype(o, &words[0], strchr(optarg, '.') + 1) : 0;
	case 'N':
		say("mount: -N %s: run mount in that namespace instead (nsenter(1))", optarg);
		return -EINVAL;
	case ':':
		say("mount: %s needs an argument", argv[optind - 1]);
		return -EINVAL;
	case '?':
		say("mount: no option '%s'; see causeway mount --help", argv[optind - 1]);
		return -EINVAL;
	default: // -n, -s, -v, -w of mount(8), which say nothing that is not so anyway
		return 0;
	}
}

static int parse(struct mount_options *o, int argc, char **argv)
{
	const char *known = o->helper ? ":fhnrsvwN:o:t:" : ":fho:";
	int c, ret = 0;

	opterr = 0;
	// What is passed by must be known before the words are read.
	for (int i = 1; o->helper && i < argc; i++)
		o->sloppy |= argv[i][0] == '-' && argv[i][1] != 'o' && strchr(argv[i], 's');
	while (!ret && (c = getopt_long(argc, argv, known, long_options, NULL)) != -1)
		ret = take_option(o, c, argv);
	if (ret)
		return ret;
	if (argc - optind != 2) {
		say("mount: needs SOCKET or DIR, and MOUNTPOINT; see causeway mount --help");
		return -EINVAL;
	}
	return 0;
}

int mount_options_parse(struct mount_options *o, int argc, char **argv, int *status)
{
	int ret;

	o->flags = MS_NOSUID | MS_NODEV;
	o->subtype = "causeway";
	ret = parse(o, argc, argv);
	if (ret > 0)
		print_help();
	*status = ret > 0 ? 0 : o->helper ? MOUNT_EXIT_HELPER_USAGE : EXIT_USAGE;
	if (ret)
		return ret;
	ret = take_source(o, argv[optind]);
	if (!ret)
		ret = take_point(o, argv[optind + 1]);
	if (o->flags & MS_RDONLY)
		words_add(&o->daemon_options, "--readonly");
	*status = o->helper ? MOUNT_EXIT_HELPER_FAILURE : MOUNT_EXIT_FAILURE;
	return ret;
}

void mount_options_free(struct mount_options *o)
{
	free(o->path);
	free(o->point);
	words_free(&o->vfs);
	words_free(&o->kernel);
	words_free(&o->daemon_options);
	words_free(&o->lists);
}

// SPDX-License-Identifier: BSD-2-Clause
/* The command line of causewayd: what each option sets, what is refused and how it is said. */
#include "unit.h"

#include <string.h>

#include "daemon/options.h"

#define ARGS_MAX 12

static char error[300];

/* Parses words after a good --shared-dir and --socket-path. */
static int parse(struct options *o, const char *const *words)
{
	const char *argv[ARGS_MAX + 5] = {"causewayd", "--shared-dir", "/d", "--socket-path=/s"};
	int argc = 4;

	for (int i = 0; i < ARGS_MAX && words[i]; i++)
		argv[argc++] = words[i];
	error[0] = '\0';
	return options_parse(o, argc, (char **)(uintptr_t)argv, error, sizeof(error));
}

#define PARSE(o, ...) parse(o, (const char *const[ARGS_MAX]){__VA_ARGS__})

static void test_defaults(void **state)
{
	struct options o;

	assert_int_equal(PARSE(&o, NULL), 0);
	assert_string_equal(o.shared_dir, "/d");
	assert_string_equal(o.socket_path, "/s");
	assert_int_equal(o.fd, -1);
	assert_null(o.tag);
	assert_ptr_equal(o.fuse.cache, cache_policy_find("auto"));
	assert_int_equal(o.fuse.attr_ns, 1000000000);
	assert_int_equal(o.fuse.entry_ns, 1000000000);
	assert_true(o.fuse.readdirplus);
	assert_false(o.fuse.writeback);
	assert_false(o.fuse.readonly);
	assert_int_equal(o.log_level, LOG_INFO);
	assert_false(o.keep_listening || o.help || o.version);
}

static void test_each_option(void **state)
{
	struct options o;

	assert_int_equal(PARSE(&o, "--tag", "share", "--cache=always", "--writeback",
				 "--readonly", "--no-readdirplus", "--log-level", "trace",
				 "--keep-listening"), 0);
	assert_string_equal(o.tag, "share");
	assert_ptr_equal(o.fuse.cache, cache_policy_find("always"));
	assert_int_equal(o.fuse.attr_ns, 86400000000000);
	assert_int_equal(o.fuse.entry_ns, 86400000000000);
	assert_true(o.fuse.writeback && o.fuse.readonly && !o.fuse.readdirplus);
	assert_int_equal(o.log_level, LOG_TRACE);
	assert_true(o.keep_listening);
	assert_false(o.fuse.xattr);
	assert_int_equal(PARSE(&o, "--xattr"), 0);
	assert_true(o.fuse.xattr);
	assert_int_equal(o.fuse.posix_acl, FUSE_WHEN_NEVER);
	assert_null(o.passthrough.xattrmap);
	assert_int_equal(PARSE(&o, "--xattrmap", ":ok:all:::", "--xattrmap=:map::a:"), 0);
	assert_non_null(o.xattrmap);
	assert_ptr_equal(o.passthrough.xattrmap, o.xattrmap);
	assert_true(o.fuse.xattr);
	xattrmap_free(o.xattrmap);
	assert_int_equal(PARSE(&o, "--posix-acl", "--tag=a"), 0);
	assert_int_equal(o.fuse.posix_acl, FUSE_WHEN_ALWAYS);
	assert_string_equal(o.tag, "a");
	assert_true(o.fuse.xattr);
	assert_int_equal(PARSE(&o, "--posix-acl=auto"), 0);
	assert_int_equal(o.fuse.posix_acl, FUSE_WHEN_AUTO);
	assert_true(o.fuse.xattr);
	assert_int_equal(PARSE(&o, "--posix-acl=never"), 0);
	assert_int_equal(o.fuse.posix_acl, FUSE_WHEN_NEVER);
	assert_false(o.fuse.xattr);
	assert_int_equal(PARSE(&o, "--cache", "never"), 0);
	assert_ptr_equal(o.fuse.cache, cache_policy_find("none"));
	assert_int_equal(o.fuse.attr_ns, 0);
	/* The last one counts. */
	assert_int_equal(PARSE(&o, "--cache=none", "--cache=auto", "--tag=a", "--tag=b"), 0);
	assert_ptr_equal(o.fuse.cache, cache_policy_find("auto"));
	assert_string_equal(o.tag, "b");
}

static void test_of_virtiofsd(void **state)
{
	struct options o;

	assert_int_equal(PARSE(&o, NULL), 0);
	assert_null(o.socket_group);
	assert_int_equal(o.rlimit_nofile, -1);
	assert_int_equal(o.thread_pool_size, 4);
	assert_false(o.fuse.allow_mmap || o.passthrough.preserve_noatime || o.print_capabilities);
	assert_int_equal(PARSE(&o, "--socket-group", "kvm", "--rlimit-nofile=0", "--allow-mmap",
				 "--preserve-noatime", "--thread-pool-size=8"), 0);
	assert_string_equal(o.socket_group, "kvm");
	assert_int_equal(o.rlimit_nofile, 0);
	assert_int_equal(o.thread_pool_size, 8);
	assert_true(o.fuse.allow_mmap && o.passthrough.preserve_noatime);
	assert_true(o.fuse.announce_submounts);
	assert_null(o.version_table);
	assert_false(o.isolation.versions);
	assert_false(o.fuse.direct_io);
	assert_int_equal(PARSE(&o, "--allow-direct-io"), 0);
	assert_true(o.fuse.direct_io);
	assert_int_equal(PARSE(&o, "-o", "allow_direct_io"), 0);
	assert_true(o.fuse.direct_io);
	options_free(&o);
	assert_int_equal(PARSE(&o, "-o", "allow_direct_io,no_allow_direct_io"), 0);
	assert_false(o.fuse.direct_io);
	options_free(&o);
	assert_int_equal(PARSE(&o, "--no-announce-submounts"), 0);
	assert_false(o.fuse.announce_submounts);
	assert_int_equal(PARSE(&o, "--no-announce-submounts", "-o", "announce_submounts"), 0);
	assert_true(o.fuse.announce_submounts);
	assert_true(o.fuse.killpriv);
	options_free(&o);
	assert_int_equal(PARSE(&o, "--killpriv-v2", "--no-killpriv-v2"), 0);
	assert_false(o.fuse.killpriv);
	assert_int_equal(PARSE(&o, "--no-killpriv-v2", "-o", "killpriv_v2"), 0);
	assert_true(o.fuse.killpriv);
	options_free(&o);
	assert_int_equal(PARSE(&o, "-d", "-f"), 0);
	assert_int_equal(o.log_level, LOG_DEBUG);
	assert_false(o.syslog || o.help || o.version);
	assert_int_equal(PARSE(&o, "--syslog"), 0);
	assert_true(o.syslog);
	assert_int_equal(PARSE(&o, "-h"), 0);
	assert_true(o.help);
	assert_int_equal(PARSE(&o, "-fV"), 0);
	assert_true(o.version);
	assert_int_equal(PARSE(&o, "-o", "syslog"), 0);
	assert_true(o.syslog);
	options_free(&o);
}

static void test_names_of_values(void **state)
{
	static const struct {
		const char *arg;
		enum pt_file_handles want;
	} handles[] = {
		{"--inode-file-handles=never", PT_FILE_HANDLES_NEVER},
		{"--inode-file-handles=prefer", PT_FILE_HANDLES_PREFER},
		{"--inode-file-handles=mandatory", PT_FILE_HANDLES_MANDATORY},
		{"--inode-file-handles=fallback", PT_FILE_HANDLES_PREFER},
	};
	struct options o;

	for (size_t i = 0; i < ARRAY_SIZE(handles); i++) {
		/* Not what it is by itself. */
		assert_int_equal(PARSE(&o, "--inode-file-handles=never", handles[i].arg), 0);
		assert_int_equal(o.passthrough.file_handles, handles[i].want);
	}
	assert_int_equal(PARSE(&o, "--socket", "/other"), 0);
	assert_string_equal(o.socket_path, "/other");
}

/* -o: each word is the long option of its name; later ones win. */
static void test_legacy(void **state)
{
	struct options o;

	assert_int_equal(PARSE(&o, "-o", "source=/x,cache=always,xattr,writeback",
				 "-onotag,timeout=2.5"), -1);
	assert_non_null(strstr(error, "notag"));
	options_free(&o);
	assert_int_equal(PARSE(&o, "-o", "source=/x,cache=always,xattr,writeback,allow_mmap",
				 "-otimeout=2.5,loglevel=err,no_posix_lock,no_flock"), 0);
	assert_string_equal(o.shared_dir, "/x");
	assert_ptr_equal(o.fuse.cache, cache_policy_find("always"));
	assert_true(o.fuse.xattr && o.fuse.writeback && o.fuse.allow_mmap);
	assert_int_equal(o.fuse.attr_ns, 2500000000);
	assert_int_equal(o.fuse.entry_ns, 2500000000);
	assert_int_equal(o.log_level, LOG_ERROR);
	options_free(&o);
	assert_int_equal(PARSE(&o, "-o", "posix_lock,flock"), 0);
	assert_true(o.fuse.posix_lock && o.fuse.flock && o.passthrough.locks);
	options_free(&o);
	assert_int_equal(PARSE(&o, "-o", "posix_lock,flock,no_flock", "-ono_posix_lock"), 0);
	assert_false(o.fuse.posix_lock || o.fuse.flock || o.passthrough.locks);
	options_free(&o);
	assert_int_equal(PARSE(&o, "--flock"), 0);
	assert_true(o.fuse.flock && !o.fuse.posix_lock && o.passthrough.locks);
	options_free(&o);
	assert_int_equal(PARSE(&o, "--posix-lock"), 0);
	assert_true(o.fuse.posix_lock && !o.fuse.flock && o.passthrough.locks);
	options_free(&o);
	assert_int_equal(PARSE(&o, "-o", "posix_acl"), 0);
	assert_int_equal(o.fuse.posix_acl, FUSE_WHEN_ALWAYS);
	options_free(&o);
	assert_int_equal(PARSE(&o, "-o", "security_label"), 0);
	assert_int_equal(o.fuse.security_label, FUSE_WHEN_ALWAYS);
	assert_true(o.fuse.xattr);
	options_free(&o);
	assert_int_equal(PARSE(&o, "-o", "security_label=auto,no_security_label"), 0);
	assert_int_equal(o.fuse.security_label, FUSE_WHEN_NEVER);
	assert_false(o.fuse.xattr);
	options_free(&o);
	assert_int_equal(PARSE(&o, "-o", "posix_acl=auto,no_posix_acl"), 0);
	assert_int_equal(o.fuse.posix_acl, FUSE_WHEN_NEVER);
	options_free(&o);
	assert_int_equal(PARSE(&o, "-o", "writeback,xattr,no_readdirplus,log_level=info", "-o",
				 "no_writeback,no_xattr,readdirplus,,socket_group=g"), 0);
	assert_false(o.fuse.writeback || o.fuse.xattr);
	assert_true(o.fuse.readdirplus);
	assert_int_equal(o.log_level, LOG_INFO);
	assert_string_equal(o.socket_group, "g");
	options_free(&o);
}

/* A timeout that is given wins over the mode's, in whatever order they come. */
static void test_timeouts(void **state)
{
	struct options o;
	static const struct {
		const char *arg;
		uint64_t ns;
	} good[] = {{"0", 0}, {"0.5", 500000000}, {"1", 1000000000}, {"1e3", 1000000000000},
		{"31536000", 31536000000000000}, {"0.000000001", 1}};
	static const char *const bad[] = {"", "-1", "-0.001", "x", "1x", "1 ", "nan", "inf",
		"31536001", "1e300", "1e999", "1,5", "--cache"};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(PARSE(&o, "--attr-timeout", good[i].arg, "--cache=none"), 0);
		assert_int_equal(o.fuse.attr_ns, good[i].ns);
		assert_int_equal(o.fuse.entry_ns, 0);
		assert_int_equal(PARSE(&o, "--cache=none", "--entry-timeout", good[i].arg), 0);
		assert_int_equal(o.fuse.entry_ns, good[i].ns);
		assert_int_equal(o.fuse.attr_ns, 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(PARSE(&o, "--attr-timeout", bad[i]), -1);
		assert_non_null(strstr(error, "--attr-timeout"));
		assert_int_equal(PARSE(&o, "--entry-timeout", bad[i]), -1);
		assert_non_null(strstr(error, "--entry-timeout"));
	}
}

static void test_version_table(void **state)
{
	static const char *const bad[][3] = {
		{"--version-table=", NULL, "--version-table: ''"},
		{"--version-table=/run/", NULL, "'/run/'"},
		{"--version-slots=16", NULL, "--version-slots needs --version-table"},
		{"--version-table=t", "--version-slots=0", "'0'"},
		{"--version-table=t", "--version-slots=48", "'48'"},
		{"--version-table=t", "--version-slots=536870912", "'536870912'"},
		{"--version-table=t", "--version-slots=1K", "'1K'"},
		{"--version-table=t", "--uid-map=:0:1:1:", "--version-table FILE and --uid-map"},
		{"--version-table=t", "--gid-map=:0:1:1:", "--version-table FILE and --gid-map"},
	};
	struct options o;

	assert_int_equal(PARSE(&o, "--version-table", "/run/table"), 0);
	assert_string_equal(o.version_table, "/run/table");
	assert_int_equal(o.version_slots, 0);
	assert_true(o.isolation.versions);
	options_free(&o);
	assert_int_equal(PARSE(&o, "--version-table=memfd", "--version-slots=4096",
				 "--uid-map=:0:1:1:"), 0);
	assert_int_equal(o.version_slots, 4096);
	options_free(&o);
	/* Guests that hold back writes are left out, one by one. */
	assert_int_equal(PARSE(&o, "--version-table=t", "--cache=always", "--writeback"), 0);
	options_free(&o);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(PARSE(&o, bad[i][0], bad[i][1]), -1);
		assert_non_null(strstr(error, bad[i][2]));
		options_free(&o);
	}
}

static void test_refused(void **state)
{
	static const char longest[] = "123456789012345678901234567890123456";
	static const struct {
		const char *words[3];
		const char *says; /* what the line must name */
	} cases[] = {
		{{"--cache=some"}, "'some'"},
		{{"--cache="}, "''"},
		{{"--xattrmap=:ok:all:x::"}, "--xattrmap: rule 2"},
		{{"--posix-acl=perhaps"}, "'perhaps'"},
		{{"--inode-file-handles=often"}, "'often'"},
		{{"--log-level=loud"}, "'loud'"},
		{{"--tag="}, "--tag"},
		{{"--tag=1234567890123456789012345678901234567"}, "36"},
		{{"--nonsense"}, "'--nonsense'"},
		{{"--nonsense=1"}, "'--nonsense=1'"},
		{{"--tag"}, "'--tag'"},
		{{"more"}, "'more'"},
		{{"--", "more"}, "'more'"},
		{{"--fd=3"}, "exclude"},
		{{"--record-data"}, "--record:"},
		{{"--socket-group="}, "--socket-group"},
		{{"--rlimit-nofile=many"}, "'many'"},
		{{"--rlimit-nofile=-1"}, "--rlimit-nofile"},
		{{"--rlimit-nofile=2147483648"}, "--rlimit-nofile"},
		{{"--thread-pool-size="}, "--thread-pool-size"},
		{{"--translate-uid=map:1:2"}, "--translate-uid: 'map:1:2'"},
		{{"--sandbox=jail"}, "'jail'"},
		{{"--seccomp=maybe"}, "'maybe'"},
		{{"--modcaps=chown"}, "'chown'"},
		{{"--modcaps=+chown:-nothing"}, "'-nothing'"},
		{{"--modcaps="}, "--modcaps"},
		{{"--uid-map=0:1:2"}, "'0:1:2'"},
		{{"--uid-map=:0:1:0:"}, "':0:1:0:'"},
		{{"--gid-map=:0:1:2"}, "':0:1:2'"},
		{{"--gid-map=:0:10:5:", "--gid-map=:4:20:5:"}, "':4:20:5:'"},
		{{"--uid-map=:0:1:1:", "--sandbox=none"}, "--uid-map and --sandbox none"},
		{{"--gid-map=:0:1:1:", "--sandbox=chroot"}, "--gid-map and --sandbox chroot"},
		{{"--modcaps=-dac_read_search", "--inode-file-handles=mandatory"},
			"--modcaps -dac_read_search and --inode-file-handles mandatory"},
		{{"--translate-gid=map:0:0:2", "--translate-gid=guest:1:5:1"}, "'map:0:0:2' and 'guest:1:5:1'"},
		{{"--translate-uid=map:0:5:1", "--posix-acl=auto"}, "--translate-uid and --posix-acl"},
		{{"--translate-gid=map:0:5:1", "--posix-acl"}, "--translate-gid and --posix-acl"},
		{{"-o", "translate_gid=forbid-guest:1"}, "'forbid-guest:1'"},
		{{"--migration-mode=find-paths"}, "--migration-mode"},
		{{"--migration-on-error=abort"}, "--migration-on-error"},
		{{"--migration-verify-handles"}, "--migration-verify-handles"},
		{{"--migration-confirm-paths"}, "--migration-confirm-paths"},
		{{"-o", "posix_lock_x"}, "posix_lock_x"},
		{{"-o", "cache=some"}, "'some'"},
		{{"-o", "cache"}, "--cache"},
		{{"-o", "writeback=1"}, "--writeback"},
		{{"-o", "no_writeback=1"}, "no_writeback"},
		{{"-o", "migration_mode=find-paths"}, "--migration-mode"},
	};
	struct options o;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(PARSE(&o, cases[i].words[0], cases[i].words[1]), -1);
		if (!strstr(error, cases[i].says))
			fail_msg("'%s' does not name %s", error, cases[i].says);
		assert_null(strchr(error, '\n'));
		options_free(&o);
	}
	assert_int_equal(PARSE(&o, "--tag", longest), 0);
}

/* Parses exactly these words. */
static int parse_all(struct options *o, const char *const *words)
{
	int argc = 0;

	while (words[argc])
		argc++;
	error[0] = '\0';
	return options_parse(o, argc, (char **)(uintptr_t)words, error, sizeof(error));
}

#define PARSE_ALL(o, ...) parse_all(o, (const char *const[]){"causewayd", __VA_ARGS__, NULL})

static void test_what_is_needed(void **state)
{
	static const char *const bad_fds[] = {"-1", "", "x", "3x", "99999999999", "2147483648",
		"0.5"};
	struct options o;

	assert_int_equal(PARSE_ALL(&o, "--socket-path=/s"), -1);
	assert_non_null(strstr(error, "--shared-dir"));
	assert_int_equal(PARSE_ALL(&o, "--shared-dir=/d"), -1);
	assert_non_null(strstr(error, "--socket-path"));
	assert_int_equal(PARSE_ALL(&o, "--shared-dir=/d", "--fd=7"), 0);
	assert_int_equal(o.fd, 7);
	assert_int_equal(PARSE_ALL(&o, "--shared-dir=/d", "--fd=7", "--socket-group=g"), -1);
	assert_non_null(strstr(error, "--socket-group and --fd"));
	assert_int_equal(PARSE_ALL(&o, "--print-capabilities"), 0);
	assert_true(o.print_capabilities);
	assert_null(o.socket_path);
	for (size_t i = 0; i < ARRAY_SIZE(bad_fds); i++) {
		assert_int_equal(PARSE_ALL(&o, "--shared-dir=/d", "--fd", bad_fds[i]), -1);
		assert_non_null(strstr(error, "--fd"));
	}
	/* With these nothing else is needed. */
	assert_int_equal(PARSE_ALL(&o, "--help"), 0);
	assert_true(o.help);
	assert_int_equal(PARSE_ALL(&o, "--version", "--nonsense"), 0);
	assert_true(o.version);
	assert_int_equal(PARSE_ALL(&o, "-x"), -1);
	assert_non_null(strstr(error, "'-x'"));
	assert_int_equal(PARSE_ALL(&o, "-xy"), -1);
	assert_non_null(strstr(error, "-x"));
	assert_int_equal(PARSE(&o, "--control-path=/s"), -1);
	assert_non_null(strstr(error, "--control-path and --socket-path"));
}

/* What is left out is left out whatever the other options say, in any order. */
static void test_without(void **state)
{
	struct options o;

	assert_int_equal(PARSE(&o, "--without=polling,pool", "--poll=50", "--thread-pool-size=4"),
		0);
	assert_int_equal(o.poll_us, 0);
	assert_int_equal(o.thread_pool_size, 0);
	assert_false(o.no_borrowing || o.no_answering || o.no_batching || o.no_event_idx ||
		o.passthrough.keeps_no_descriptors || o.passthrough.keeps_no_rights ||
		o.passthrough.opens_names ||
		o.passthrough.starts_hot || o.passthrough.believes_nothing);
	assert_int_equal(o.passthrough.spares, geteuid() == 0 ? PT_SPARES : 0);
	assert_true(o.fuse.pins);
	assert_int_equal(PARSE(&o, "--without=pins", "--pins=7"), 0);
	assert_false(o.fuse.pins);
	assert_int_equal(PARSE(&o, "--without=borrowing", "--without=event-idx,node-descriptors",
				 "--without=credentials,file-handles,known-names,open-cache"), 0);
	assert_int_equal(o.passthrough.spares, 0);
	assert_int_equal(PARSE(&o, "--inode-file-handles=never"), 0);
	assert_int_equal(o.passthrough.spares, 0);
	/* In a user namespace of its own the daemon may not open everything. */
	assert_int_equal(PARSE(&o, "--uid-map=:0:100000:65536:"), 0);
	assert_int_equal(o.passthrough.spares, 0);
	assert_int_equal(PARSE(&o, "--without=borrowing", "--without=event-idx,node-descriptors",
				 "--without=credentials,file-handles,known-names,cold-nodes",
				 "--without=inside-cache,answering,batching"), 0);
	assert_true(o.no_borrowing && o.no_answering && o.no_batching && o.no_event_idx &&
		o.passthrough.keeps_no_descriptors && o.passthrough.keeps_no_rights &&
		o.passthrough.opens_names && o.passthrough.starts_hot &&
		o.passthrough.believes_nothing);
	assert_int_equal(o.passthrough.file_handles, PT_FILE_HANDLES_NEVER);
	assert_true(o.poll_us > 0 && o.thread_pool_size > 0);
	assert_int_equal(PARSE(&o, "--without=polling,speed"), -1);
	assert_non_null(strstr(error, "'speed' is none of polling, borrowing"));
	assert_int_equal(PARSE(&o, "--without="), -1);
	assert_int_equal(PARSE(&o, "--without=pool", "--dax-window=64M"), -1);
	assert_non_null(strstr(error, "--thread-pool-size 0"));
	assert_int_equal(PARSE(&o, "--without=file-handles", "--inode-file-handles=mandatory"), -1);
	assert_non_null(strstr(error, "exclude each other"));
}

/* A long value is cut in the line, never beyond it. */
static void test_long_value(void **state)
{
	static char words[5000];
	struct options o;

	memset(words, 'x', sizeof(words) - 1);
	memcpy(words, "--cache=", 8);
	assert_int_equal(PARSE(&o, words), -1);
	assert_int_equal(strlen(error), sizeof(error) - 1);
}

static void test_help(void **state)
{
	static const char *const names[] = {"shared-dir DIR", "socket-path PATH", "fd N", "tag TAG",
		"cache MODE", "writeback", "attr-timeout SECONDS", "entry-timeout SECONDS",
		"readonly", "no-readdirplus", "log-level LEVEL", "keep-listening", "help",
		"socket-group GROUP", "rlimit-nofile N", "allow-mmap", "preserve-noatime",
		"allow-direct-io", "announce-submounts", "no-announce-submounts",
		"version-table FILE", "version-slots N", "thread-pool-size N", "print-capabilities",
		"record FILE", "record-data", "version"};
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	options_help(f);
	fclose(f);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char line[64];

		snprintf(line, sizeof(line), "\n  --%s ", names[i]);
		assert_non_null(strstr(text, line));
	}
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		assert_true(strlen(line) <= 100);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_each_option),
		cmocka_unit_test(test_of_virtiofsd),
		cmocka_unit_test(test_names_of_values),
		cmocka_unit_test(test_legacy),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_version_table),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_what_is_needed),
		cmocka_unit_test(test_long_value),
		cmocka_unit_test(test_without),
		cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

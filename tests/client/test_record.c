// SPDX-License-Identifier: BSD-2-Clause
// check: builds=plain,asan,tsan
/*
 * The client's twin of causewayd --record: what it asked, and what came of it, as decode tells it.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "peer.h"

/* What `causeway decode` says of a recording; the caller frees it. */
static char *decode(const char *path)
{
	char command[200], *text = calloc(1, 1 << 20);
	size_t len = 0, n;
	FILE *f;

	assert_non_null(text);
	snprintf(command, sizeof(command), "$CAUSEWAY decode --data 20 %s", path);
	f = popen(command, "re");
	assert_non_null(f);
	while ((n = fread(text + len, 1, (1 << 20) - 1 - len, f)) > 0)
		len += n;
	assert_int_equal(pclose(f), 0);
	return text;
}

static void record(enum peer_kind kind, const char *with_data)
{
	char path[] = "/tmp/record-XXXXXX";
	int fd = mkstemp(path);
	const char *const options[] = {"record", path, "record-data", with_data, NULL};
	struct causeway_file *f;
	struct peer *p;
	struct stat st;
	char *text;

	assert_true(fd >= 0);
	close(fd);
	p = peer_start(kind, options);
	assert_int_equal(causeway_open(p->c, NULL, "new", O_RDWR | O_CREAT, 0600, &f), 0);
	assert_int_equal(causeway_pwrite(f, "contents", 8, 0), 8);
	assert_int_equal(causeway_close(f), 0);
	assert_int_equal(causeway_stat(p->c, NULL, "missing", &st, 0), -ENOENT);
	peer_finish(p);
	text = decode(path);
	assert_non_null(strstr(text, " q1 INIT "));
	assert_non_null(strstr(text, "\"new\": done, 144 bytes"));
	assert_non_null(strstr(text, ": done, 8 bytes size 8, in "));
	/* Servers say it either way. */
	assert_true(strstr(text, "\"missing\": -ENOENT") ||
		strstr(text, "\"missing\": done, 128 bytes"));
	assert_null(strstr(text, "no reply"));
	assert_int_equal(strstr(text, "sent \"contents\"") != NULL, *with_data == '1');
	free(text);
	assert_int_equal(unlink(path), 0);
}

static void test_record(void **state)
{
	for (enum peer_kind kind = 0; kind < PEER_KINDS; kind++) {
		if (!peer_exists(kind))
			continue;
		record(kind, "0");
		record(kind, "1");
	}
}

static void test_refused(void **state)
{
	struct causeway *c = causeway_new();

	assert_non_null(c);
	assert_int_equal(causeway_set(c, "daemon", peer_causewayd()), 0);
	assert_int_equal(causeway_set(c, "record", "/no/such/directory/record"), 0);
	assert_int_equal(causeway_share(c, "/tmp"), -ENOENT);
	assert_non_null(strstr(causeway_error(c), "/no/such/directory/record"));
	causeway_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-2-Clause
/* The log: one whole line per message, whatever was put into it; levels; quoting. */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/log.h"

static char text[8192];

/* What fn prints to standard error, as text. */
static const char *printed(void (*fn)(void))
{
	int pipes[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	assert_int_equal(pipe2(pipes, O_NONBLOCK), 0);
	dup2(pipes[1], STDERR_FILENO);
	fn();
	dup2(saved, STDERR_FILENO);
	close(saved);
	n = read(pipes[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	close(pipes[0]);
	close(pipes[1]);
	return text;
}

static void print_all(void)
{
	log_error("e %d", 1);
	log_warn("w");
	log_info("i");
	log_debug("d");
	if (log_threshold >= LOG_TRACE)
		log_print(LOG_TRACE, "t");
}

static void test_levels(void **state)
{
	static const struct {
		const char *name, *lines;
	} cases[] = {
		{"off", ""},
		{"error", "prog: error: e 1\n"},
		{"warn", "prog: error: e 1\nprog: warn: w\n"},
		{"info", "prog: error: e 1\nprog: warn: w\nprog: i\n"},
		{"debug", "prog: error: e 1\nprog: warn: w\nprog: i\nprog: debug: d\n"},
		{"trace", "prog: error: e 1\nprog: warn: w\nprog: i\nprog: debug: d\nprog: trace: t\n"},
	};
	enum log_level level = LOG_OFF;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_true(log_level_parse(cases[i].name, &level));
		log_open("prog", level);
		assert_string_equal(printed(print_all), cases[i].lines);
	}
	assert_false(log_level_parse("", &level));
	assert_false(log_level_parse("Error", &level));
	assert_false(log_level_parse("errors", &level));
	assert_int_equal(level, LOG_TRACE);
}

static void print_long(void)
{
	char *s = malloc(5000);

	memset(s, 'x', 4999);
	s[4999] = '\0';
	log_error("%s", s);
	log_error("next");
	free(s);
}

/* A message too long is cut; its line still ends. */
static void test_long_line(void **state)
{
	const char *end;

	log_open("prog", LOG_ERROR);
	end = strchr(printed(print_long), '\n');
	assert_non_null(end);
	assert_true(end - text > 500);
	assert_string_equal(end + 1, "prog: error: next\n");
}

static void print_with_errno(void)
{
	errno = ENOTTY;
	log_error("x");
	assert_int_equal(errno, ENOTTY);
}

static void test_errno(void **state)
{
	log_open("prog", LOG_ERROR);
	printed(print_with_errno);
}

static void test_quote(void **state)
{
	static const struct {
		const char *in;
		size_t len, size;
		const char *out;
	} cases[] = {
		{"plain text~ !", 13, 64, "plain text~ !"},
		{"", 0, 64, ""},
		{"", 0, 1, ""},
		{"a\nb", 3, 64, "a\\x0ab"},
		{"\\", 1, 64, "\\x5c"},
		{"\x1b[0m", 4, 64, "\\x1b[0m"},
		{"a\0b", 3, 64, "a\\x00b"},
		{"\x7f\x80\xff", 3, 64, "\\x7f\\x80\\xff"},
		{"\xc3\xa4", 2, 64, "\\xc3\\xa4"},
	};
	char out[64];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(log_quote(out, cases[i].size, cases[i].in, cases[i].len),
			cases[i].out);
	/* Never beyond the buffer, never half an escape. */
	for (size_t size = 1; size <= sizeof(out); size++) {
		char guard[sizeof(out) + 1];

		memset(guard, '#', sizeof(guard));
		log_quote(guard, size, "\x01\x02\x03\x04\x05\x06\x07\x08\x09", 9);
		assert_int_equal(strlen(guard) % 4, 0);
		assert_true(strlen(guard) < size);
		for (size_t i = size; i < sizeof(guard); i++)
			assert_int_equal(guard[i], '#');
	}
}

static void test_die(void **state)
{
	int pipes[2], status;
	pid_t pid;
	ssize_t n;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (pid == 0) {
		dup2(pipes[1], STDERR_FILENO);
		/* Also when nothing else would be printed. */
		log_open("prog", LOG_OFF);
		die("no %s", "way");
	}
	close(pipes[1]);
	n = read(pipes[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 2);
	assert_string_equal(text, "prog: error: no way\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_errno),
		cmocka_unit_test(test_quote),
		cmocka_unit_test(test_die),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

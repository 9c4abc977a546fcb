// SPDX-License-Identifier: BSD-2-Clause
/*
 * The program of docs/examples, against a causewayd and QEMU's daemon that listen on a socket.
 */
#include "unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

#include "peer.h"

static pid_t start(const char *const *argv)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 2);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	return pid;
}

static void assert_ends_well(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* The socket file is there when the server listens, or a moment before. */
static void run_example(pid_t server, const char *path)
{
	char command[512], listed[256] = "", greeting[64] = "";
	FILE *out;
	int status;

	snprintf(command, sizeof(command), "'%s/docs/examples/hello' %s 2>&1",
		getenv("CAUSEWAY_BUILD"), path);
	for (;;) {
		out = popen(command, "r");
		assert_non_null(out);
		listed[fread(listed, 1, sizeof(listed) - 1, out)] = '\0';
		status = pclose(out);
		if (status == 0 || !strstr(listed, "cannot connect"))
			break;
		assert_int_equal(waitpid(server, &status, WNOHANG), 0);
		usleep(1000);
	}
	if (status != 0)
		fail_msg("%s", listed);
	assert_non_null(strstr(listed, "a-file\n"));
	out = fopen("share/greeting", "r");
	assert_non_null(out);
	greeting[fread(greeting, 1, sizeof(greeting) - 1, out)] = '\0';
	fclose(out);
	assert_string_equal(greeting, "hello, host\n");
}

/* Runs in a directory of its own, with its path behind prefix as the server's word for what is
 * shared. */
static void run(const char *argv[], unsigned int share, const char *prefix)
{
	char dir[64], word[128];
	pid_t server;
	FILE *f;

	unit_enter_directory(dir);
	snprintf(word, sizeof(word), "%s%s/share", prefix, dir);
	argv[share] = word;
	assert_int_equal(mkdir("share", 0755), 0);
	f = fopen("share/a-file", "w");
	assert_non_null(f);
	fclose(f);
	server = start(argv);
	run_example(server, "sock");
	assert_ends_well(server);
	unit_leave_directory(dir);
}

static void test_causewayd(void **state)
{
	const char *argv[] = {
		peer_causewayd(), "--shared-dir", NULL, "--socket-path", "sock", NULL};

	run(argv, 2, "");
}

static void test_virtiofsd(void **state)
{
	const char *argv[] = {PEER_C_VIRTIOFSD, "--socket-path=sock", "-o", NULL, "-o",
		"sandbox=chroot", NULL};

	if (!peer_exists(PEER_VIRTIOFSD))
		skip();
	run(argv, 3, "source=");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_causewayd),
		cmocka_unit_test(test_virtiofsd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: BSD-2-Clause
/* Several processes at once; what they end with does not depend on who was first. */
#include "fscases.h"

enum { WORKERS = 4, ROUNDS = 100 };

/* Run the function in WORKERS processes; the sum of what they return (0..255 each). */
static int together(int (*fn)(int worker))
{
	int sum = 0, status;
	pid_t pids[WORKERS];

	for (int i = 0; i < WORKERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(fn(i));
	}
	for (int i = 0; i < WORKERS; i++) {
		if (pids[i] > 0 && waitpid(pids[i], &status, 0) == pids[i])
			sum += WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
	}
	return sum;
}

static int append_records(int worker)
{
	int fd = open("log", O_WRONLY | O_APPEND);
	int good = 0;

	for (int i = 0; i < ROUNDS; i++)
		good += dprintf(fd, "%d-%03d-0123456789abcdef\n", worker, i) == 23;
	return good;
}

static void appending(void)
{
	int next[WORKERS] = {0}, worker, i, good = 0;
	char line[64];
	FILE *f;

	put("log", "");
	say("written", "%d", together(append_records));
	f = fopen("log", "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%d-%d-0123456789abcdef\n", &worker, &i) == 2 && worker >= 0 &&
			worker < WORKERS && next[worker]++ == i)
			good++;
	}
	say("in order", "%d", good);
	show("log");
}

static int win_exclusive(int worker)
{
	char name[16];
	int won = 0;

	for (int i = 0; i < ROUNDS; i++) {
		snprintf(name, sizeof(name), "x%d", i);
		won += open(name, O_CREAT | O_EXCL | O_WRONLY, 0644) >= 0;
	}
	return won;
}

static int win_mkdir(int worker)
{
	char name[16];
	int won = 0;

	for (int i = 0; i < ROUNDS; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		won += !mkdir(name, 0755);
	}
	return won;
}

static int win_rmdir(int worker)
{
	char name[16];
	int won = 0;

	for (int i = 0; i < ROUNDS; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		won += !rmdir(name);
	}
	return won;
}

static void winners(void)
{
	say("O_EXCL", "%d", together(win_exclusive));
	say("mkdir", "%d", together(win_mkdir));
	say("rmdir", "%d", together(win_rmdir));
}

static int churn(int worker)
{
	char name[32], to[32];
	int good = 0;

	for (int i = 0; i < ROUNDS; i++) {
		snprintf(name, sizeof(name), "c%d-%d", worker, i);
		snprintf(to, sizeof(to), "d/r%d-%d", worker, i);
		put(name, "text");
		good += !rename(name, to) && access(name, F_OK) && !unlink(to);
	}
	return good;
}

static void churning(void)
{
	R(mkdir("d", 0755));
	say("made, moved, removed", "%d", together(churn));
	R(rmdir("d"));
	show(".");
}

static int replace_or_read(int worker)
{
	char buf[32], name[16];
	int good = 0;

	for (int i = 0; i < ROUNDS; i++) {
		if (worker == 0) {
			snprintf(name, sizeof(name), "n%d", i % 2);
			put(name, i % 2 ? "odd version" : "even version");
			good += !rename(name, "file");
		} else {
			int fd = open("file", O_RDONLY);
			ssize_t n = read(fd, buf, sizeof(buf) - 1);

			buf[n > 0 ? n : 0] = 0;
			good += !strcmp(buf, "odd version") || !strcmp(buf, "even version");
			close(fd);
		}
	}
	return good;
}

static void replacing(void)
{
	put("file", "even version");
	say("replaced or read whole", "%d", together(replace_or_read));
	show_content("file");
}

static int write_stripes(int worker)
{
	char block[1000];
	int fd = open("stripes", O_RDWR), good = 0;

	for (int i = 0; i < ROUNDS; i++) {
		off_t at = (off_t)(i * WORKERS + worker) * sizeof(block);

		fill(block, sizeof(block), at, 0);
		good += pwrite(fd, block, sizeof(block), at) == sizeof(block);
	}
	return close(fd) ? 0 : good;
}

static void stripes(void)
{
	static char want[ROUNDS * WORKERS * 1000];

	put("stripes", "");
	say("written", "%d", together(write_stripes));
	fill(want, sizeof(want), 0, 0);
	say("expected sum", "%016llx", (unsigned long long)checksum(0, want, sizeof(want)));
	show_content("stripes");
}

const struct fs_case race_cases[] = {{"race-append", appending}, {"race-winners", winners},
	{"race-churn", churning}, {"race-replace", replacing}, {"race-stripes", stripes},
	{NULL, NULL}};

// SPDX-License-Identifier: BSD-2-Clause
/* Mappings, and programs run from the share. */
#include <sys/mman.h>

#include "fscases.h"

enum { LEN = 3 * 4096 };

static char *map(const char *label, int fd, int prot, int flags)
{
	char *p = mmap(NULL, LEN, prot, flags, fd, 0);

	say(label, "%s", p == MAP_FAILED ? strerrorname_np(errno) : "ok");
	return p == MAP_FAILED ? NULL : p;
}

static int make(void)
{
	static char buf[10000];
	int fd = FD(open("f", O_RDWR | O_CREAT, 0644));

	fill(buf, sizeof(buf), 0, 5);
	R(write(fd, buf, sizeof(buf)));
	return fd;
}

static void map_private(void)
{
	int fd = make();
	char *p = map("private", fd, PROT_READ | PROT_WRITE, MAP_PRIVATE);

	if (!p)
		return;
	say("sum", "%016llx", (unsigned long long)checksum(0, p, 10000));
	say("past the end", "%d %d", p[10000], p[LEN - 1]);
	memset(p + 100, 'x', 5000);
	say("sum", "%016llx", (unsigned long long)checksum(0, p, 10000));
	R(munmap(p, LEN));
	show_content("f");
}

static void map_shared_read(void)
{
	int fd = make();
	char *p = map("shared", fd, PROT_READ, MAP_SHARED);

	if (!p)
		return;
	say("sum", "%016llx", (unsigned long long)checksum(0, p, 10000));
	R(pwrite(fd, "changed", 7, 5000));
	say("after write()", "%.7s", p + 5000);
	R(ftruncate(fd, 20000));
	R(pwrite(fd, "y", 1, 10001));
	say("after growing", "%d %c", p[10000], p[10001]);
}

static void map_shared_write(void)
{
	char buf[8] = "";
	int fd = make();
	char *p = map("shared", fd, PROT_READ | PROT_WRITE, MAP_SHARED);

	if (!p)
		return;
	memcpy(p + 4090, "straddle", 8);
	R(pread(fd, buf, 8, 4090));
	say("read()", "%.8s", buf);
	R(msync(p, LEN, MS_SYNC));
	memcpy(p + 9000, "late", 4);
	R(munmap(p, LEN));
	close(fd);
	show("f");
	show_content("f");
}

static void map_modes(void)
{
	int ro, wo;

	put("f", "text");
	ro = FD(open("f", O_RDONLY));
	wo = FD(open("f", O_WRONLY));
	map("private write of a read-only descriptor", ro, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	map("shared write of a read-only descriptor", ro, PROT_READ | PROT_WRITE, MAP_SHARED);
	map("private read of a write-only descriptor", wo, PROT_READ, MAP_PRIVATE);
	R(unlink("f"));
	map("private read after unlink", ro, PROT_READ, MAP_PRIVATE);
}

static int copy_program(const char *to)
{
	static char buf[1 << 16];
	int in = open(own_program, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	ssize_t n;

	while ((n = read(in, buf, sizeof(buf))) > 0) {
		if (write(out, buf, n) != n)
			break;
	}
	close(in);
	return out;
}

static void run_it(void *arg)
{
	execl("./prog", "prog", "--true", NULL);
	report("execute", -1);
}

static void execute(void)
{
	int fd = FD(copy_program("prog"));

	in_child(run_it, NULL);
	R(close(fd));
	in_child(run_it, NULL);
	R(chmod("prog", 0644));
	in_child(run_it, NULL);
	put("prog", "#!/missing/interpreter\n");
	R(chmod("prog", 0755));
	in_child(run_it, NULL);
	R(truncate("prog", 0));
	in_child(run_it, NULL);
}

const struct fs_case map_cases[] = {{"map-private", map_private},
	{"map-shared-read", map_shared_read}, {"map-shared-write", map_shared_write},
	{"map-modes", map_modes}, {"execute", execute}, {NULL, NULL}};

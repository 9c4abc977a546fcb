// SPDX-License-Identifier: BSD-2-Clause
/*
 * The user namespace: an ordinary user's right to the other namespaces.
 *
 * Which ids it has: those of --uid-map and --gid-map. Without them, an ordinary user with ranges
 * in /etc/subuid and /etc/subgid is 0 inside, and the ranges follow from 1 on: what the guest's
 * root makes belongs to that user, what its others make to the ranges. Without ranges, the own id
 * is all there is, as itself: all files belong to it.
 *
 * Who maps: the namespace itself may only map the own id. The rest is done from outside, by
 * a helper that is started before: newuidmap(1) and newgidmap(1), which know whose ranges are
 * whose, or, where we are root, a plain write. Root itself takes no user namespace unasked: file
 * handles and device nodes need the initial one.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "daemon/stages.h"

#define MAP_TEXT_MAX (ID_RANGES_MAX * 36)

/* What of a map depends on whether it is of uids or gids. */
struct kind {
	const char *option, *file, *ranges, *program;
};
static const struct kind uids = {"--uid-map", "uid_map", "/etc/subuid", "newuidmap"};
static const struct kind gids = {"--gid-map", "gid_map", "/etc/subgid", "newgidmap"};

/* What isolation_split() has decided, for userns_settle(). */
static bool entered;
static struct id_map uid_map, gid_map;
static uid_t outer_uid;
static gid_t outer_gid;

bool userns_is_wanted(const struct isolation *config)
{
	return config->sandbox == SANDBOX_NAMESPACE &&
		(geteuid() != 0 || config->uid_map.n > 0 || config->gid_map.n > 0);
}

bool userns_is_entered(void)
{
	return entered;
}

static void map_one(struct id_map *map, uint32_t inside, uint32_t outside, uint32_t count)
{
	if (map->n < ID_RANGES_MAX)
		map->ranges[map->n++] = (struct id_range){inside, outside, count};
}

/* Adds the ranges that subuid(5) or subgid(5) give to a user, after what the map has. */
static void add_ranges(struct id_map *map, const struct kind *kind, uid_t uid, const char *user)
{
	FILE *f = fopen(kind->ranges, "re");
	char line[512], owner[256], number[16];
	uint32_t first, count, next = 1;

	snprintf(number, sizeof(number), "%u", uid);
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%255[^:]:%" SCNu32 ":%" SCNu32, owner, &first, &count) != 3 ||
			count == 0 || next + count < next)
			continue;
		if (strcmp(owner, number) == 0 || (user && strcmp(owner, user) == 0)) {
			map_one(map, next, first, count);
			next += count;
		}
	}
	if (f)
		fclose(f);
}

static bool is_installed(const char *program)
{
	CLEANUP_FREE char *path = strdup(getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
	char full[512];

	for (char *rest = path, *dir; (dir = strsep(&rest, ":"));) {
		if ((size_t)snprintf(full, sizeof(full), "%s/%s", dir, program) < sizeof(full) &&
			access(full, X_OK) == 0)
			return true;
	}
	return false;
}

static void choose_maps(const struct isolation *config)
{
	struct passwd *user = getpwuid(geteuid());
	bool ranges;

	outer_uid = geteuid();
	outer_gid = getegid();
	uid_map = config->uid_map;
	gid_map = config->gid_map;
	if (uid_map.n == 0 && gid_map.n == 0) {
		map_one(&uid_map, 0, outer_uid, 1);
		map_one(&gid_map, 0, outer_gid, 1);
		add_ranges(&uid_map, &uids, outer_uid, user ? user->pw_name : NULL);
		add_ranges(&gid_map, &gids, outer_uid, user ? user->pw_name : NULL);
		ranges = uid_map.n > 1 && gid_map.n > 1;
		if (ranges && is_installed(uids.program) && is_installed(gids.program))
			return;
		if (ranges)
			log_warn("%s and %s are not installed (package uidmap): the ranges of %s "
				 "are not used, and all files belong to user %u",
				uids.program, gids.program, uids.ranges, outer_uid);
		uid_map.n = gid_map.n = 0;
	}
	if (uid_map.n == 0)
		map_one(&uid_map, outer_uid, outer_uid, 1);
	if (gid_map.n == 0)
		map_one(&gid_map, outer_gid, outer_gid, 1);
}

static void map_text(const struct id_map *map, char text[MAP_TEXT_MAX])
{
	size_t used = 0;

	for (size_t i = 0; i < map->n; i++)
		used += (size_t)snprintf(text + used, MAP_TEXT_MAX - used, "%u %u %u\n",
			map->ranges[i].inside, map->ranges[i].outside, map->ranges[i].count);
}

static int write_file(pid_t pid, const char *name, const char *text)
{
	CLEANUP_FD int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return -errno;
	return 0;
}

/* newuidmap PID INSIDE OUTSIDE COUNT...: its exit status, or -errno. */
static int run_program(const struct kind *kind, pid_t pid, const struct id_map *map)
{
	static char words[3 * ID_RANGES_MAX + 1][12];
	char *argv[3 * ID_RANGES_MAX + 3] = {(char *)(uintptr_t)kind->program, words[0]};
	int n = 1, status;
	pid_t child;

	snprintf(words[0], sizeof(words[0]), "%d", pid);
	for (size_t i = 0; i < map->n; i++) {
		const uint32_t values[3] = {map->ranges[i].inside, map->ranges[i].outside,
			map->ranges[i].count};

		for (size_t j = 0; j < 3; j++, n++) {
			snprintf(words[n], sizeof(words[n]), "%u", values[j]);
			argv[n + 1] = words[n];
		}
	}
	child = fork();
	if (child == 0) {
		execvp(kind->program, argv);
		fprintf(stderr, "%s: %s\n", kind->program, strerror(errno));
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* The own id and no other: what a process may map by itself. */
static bool is_own(const struct id_map *map, uint32_t own)
{
	return map->n == 1 && map->ranges[0].count == 1 && map->ranges[0].outside == own;
}

static void map_from_outside(const struct kind *kind, pid_t pid, const struct id_map *map,
	uint32_t own)
{
	char text[MAP_TEXT_MAX];
	int r;

	if (geteuid() == 0) {
		map_text(map, text);
		r = write_file(pid, kind->file, text);
		if (r < 0)
			die("%s: the kernel refuses the map: %s; do ranges overlap?", kind->option,
				strerror(-r));
	} else if (!is_own(map, own)) {
		r = run_program(kind, pid, map);
		if (r != 0)
			die("%s: %s refused the map (status %d); %s has the ranges that are "
			    "allowed", kind->option, kind->program, r, kind->ranges);
	}
}

static void map_own(const struct kind *kind, const struct id_map *map, uint32_t own)
{
	char text[MAP_TEXT_MAX];
	int r;

	if (outer_uid == 0 || !is_own(map, own))
		return;
	map_text(map, text);
	/* Who could leave groups could get around permissions that are meant against them. */
	r = kind == &gids ? write_file(getpid(), "setgroups", "deny") : 0;
	if (r == 0)
		r = write_file(getpid(), kind->file, text);
	if (r < 0)
		die("--sandbox namespace: cannot map id %u: %s", own, strerror(-r));
}

/* Waits until its parent is in the namespace, and maps what that may not map itself. */
static _Noreturn void be_helper(int ready_fd)
{
	pid_t parent = getppid();
	char byte;

	if (read(ready_fd, &byte, 1) == 1) {
		map_from_outside(&uids, parent, &uid_map, outer_uid);
		map_from_outside(&gids, parent, &gid_map, outer_gid);
	}
	_exit(0);
}

void userns_enter(const struct isolation *config)
{
	int ready[2], status = 0;
	pid_t helper;

	choose_maps(config);
	if (pipe2(ready, O_CLOEXEC) < 0 || (helper = fork()) < 0)
		die("--sandbox namespace: %s", strerror(errno));
	if (helper == 0) {
		close(ready[1]);
		be_helper(ready[0]);
	}
	close(ready[0]);
	if (unshare(CLONE_NEWUSER) < 0)
		die("--sandbox namespace: cannot have a user namespace: %s; the administrator may "
		    "forbid them to ordinary users (sysctl user.max_user_namespaces, "
		    "kernel.unprivileged_userns_clone): then --sandbox none", strerror(errno));
	if (write(ready[1], "", 1) != 1)
		die("--sandbox namespace: %s", strerror(errno));
	close(ready[1]);
	while (waitpid(helper, &status, 0) < 0 && errno == EINTR)
		;
	/* It has said why. */
	if (status != 0)
		exit(2);
	map_own(&uids, &uid_map, outer_uid);
	map_own(&gids, &gid_map, outer_gid);
	entered = true;
}

/* The id to be inside: the own one where it is mapped, else 0, else the first. */
static uint32_t id_inside(const struct id_map *map, uint32_t own)
{
	uint32_t chosen = map->ranges[0].inside;

	for (size_t i = 0; i < map->n; i++) {
		const struct id_range *r = &map->ranges[i];

		if (own - r->outside < r->count)
			return r->inside + (own - r->outside);
		if (r->inside == 0)
			chosen = 0;
	}
	return chosen;
}

void userns_settle(const struct isolation *config)
{
	uid_t uid = id_inside(&uid_map, outer_uid);
	gid_t gid = id_inside(&gid_map, outer_gid);

	if (!entered)
		return;
	if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		die("--sandbox namespace: cannot become user %u, group %u of the user namespace: "
		    "%s", uid, gid, strerror(errno));
}

// SPDX-License-Identifier: BSD-2-Clause
/*
 * Landlock: the kernel refuses access to files outside the shared directory.
 *
 * It holds where the sandbox alone does not: an ordinary user's --sandbox none, and a directory
 * that the host moves out of the share while a guest has it. It asks of each file whether the
 * shared directory is above it, which cannot be told of a file that was opened by its handle while
 * the kernel knows no name of it: so where file handles are in use, there is no Landlock. Nor is
 * there with a kernel that has none, or one too old to rename between directories under it.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "daemon/stages.h"

#define ABI_MIN 2 /* LANDLOCK_ACCESS_FS_REFER */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ull << 14) /* ABI 3 */
#endif

/* All of ABI 2, in one mask. */
#define RIGHTS ((LANDLOCK_ACCESS_FS_REFER << 1) - 1)

static void allow_fd(int rules, int fd, const char *path, uint64_t rights)
{
	const struct landlock_path_beneath_attr rule = {
		.allowed_access = rights,
		.parent_fd = fd,
	};

	if (fd < 0 ||
		syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		die("Landlock: cannot allow '%s': %s", path, strerror(errno));
}

static void allow(int rules, const char *path, uint64_t rights)
{
	CLEANUP_FD int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	allow_fd(rules, fd, path, rights);
}

/* Whoever made the socket removes it at the end: with a sandbox, that is the process outside. */
static void allow_socket(const struct isolation *config, int rules, const char *name)
{
	CLEANUP_FREE char *path = NULL;

	if (config->sandbox != SANDBOX_NONE || !name)
		return;
	path = strdup(name);
	if (!path)
		die("Landlock: %s", strerror(ENOMEM));
	allow(rules, dirname(path), LANDLOCK_ACCESS_FS_REMOVE_FILE);
}

/* Another FILE takes the place of the one that was opened. handled: what the kernel knows. */
static void allow_versions(const struct isolation *config, int rules, uint64_t handled)
{
	const uint64_t rights = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
		LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_MAKE_REG |
		LANDLOCK_ACCESS_FS_REMOVE_FILE;

	if (config->versions && config->versions_dir >= 0)
		allow_fd(rules, config->versions_dir, "the folder of --version-table",
			rights & handled);
}

void landlock_enter(const struct isolation *config, const char *root)
{
	struct landlock_ruleset_attr attr = {.handled_access_fs = RIGHTS};
	CLEANUP_FD int rules = -1;
	long abi;

	if (config->file_handles && capability_is_had(CAP_DAC_READ_SEARCH))
		return;
	abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < ABI_MIN) {
		log_debug("no Landlock in this kernel");
		return;
	}
	if (abi >= 3)
		attr.handled_access_fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
	rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (rules < 0)
		die("Landlock: %s", strerror(errno));
	allow(rules, root, attr.handled_access_fs & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE);
	for (size_t i = 0; i < ARRAY_SIZE(config->sockets); i++)
		allow_socket(config, rules, config->sockets[i]);
	allow_versions(config, rules, attr.handled_access_fs);
	if (syscall(SYS_landlock_restrict_self, rules, 0) < 0)
		die("Landlock: %s", strerror(errno));
}

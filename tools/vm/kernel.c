// SPDX-License-Identifier: BSD-2-Clause
//
// Which kernel the guest runs: the one named, else the one tools/setup fetched, else the newest of
// this machine that has virtio-fs. Where the uncompressed image lies beside it (vmlinux-VERSION
// beside vmlinuz-VERSION), that is booted: emulation spends a fifth of the boot on decompressing.

#include "vm.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// The version in the header of a bzImage (Documentation/x86/boot.rst: kernel_version at 0x20e
// counts from 0x200).
static char *bzimage_version(const unsigned char *p, size_t size)
{
	size_t at;

	if (size < 0x1000 || memcmp(p + 0x202, "HdrS", 4))
		return NULL;
	at = 0x200 + p[0x20e] + p[0x20f] * 256u;
	return at + 256 < size ? strndup((const char *)p + at, strcspn((const char *)p + at, " "))
			       : NULL;
}

static char *elf_version(const unsigned char *p, size_t size)
{
	static const char banner[] = "Linux version ";
	const unsigned char *at;

	if (size < 4 || memcmp(p, "\177ELF", 4))
		return NULL;
	at = memmem(p, size, banner, strlen(banner));
	// The first hit may be a format string of something else.
	while (at && !strchr("123456789", at[strlen(banner)])) {
		at++;
		at = memmem(at, size - (at - p), banner, strlen(banner));
	}
	if (!at)
		return NULL;
	at += strlen(banner);
	return strndup((const char *)at, strcspn((const char *)at, " "));
}

static char *version_of(const char *file)
{
	AUTO_CLOSE int fd = open(file, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *version;
	void *p;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || !st.st_size)
		return NULL;
	p = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return NULL;
	version = bzimage_version(p, st.st_size);
	if (!version)
		version = elf_version(p, st.st_size);
	munmap(p, st.st_size);
	return version;
}

// Beside the image, in the tree that it was unpacked in, or installed.
static char *modules_of(const char *file, const char *version)
{
	static const char *const where[] = {
		"/lib/modules", "/../lib/modules", "/../usr/lib/modules"};
	AUTO_FREE char *dir = realpath(file, NULL);
	AUTO_FREE char *installed = format("/lib/modules/%s", version);

	if (!dir)
		return NULL;
	*strrchr(dir, '/') = 0;
	for (size_t i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
		AUTO_FREE char *path = format("%s%s/%s", dir, where[i], version);
		char *real = realpath(path, NULL);

		if (real)
			return real;
	}
	return realpath(installed, NULL);
}

// The uncompressed twin of .../vmlinuz-VERSION, if there is one.
static char *uncompressed(const char *file, const char *version)
{
	AUTO_FREE char *real = realpath(file, NULL);
	char *path;

	if (!real || strncmp(strrchr(real, '/'), "/vmlinuz", 8))
		return NULL;
	*strrchr(real, '/') = 0;
	path = format("%s/vmlinux-%s", real, version);
	if (!access(path, R_OK))
		return path;
	free(path);
	return NULL;
}

static bool take(struct vm_kernel *k, const char *file)
{
	char *version = version_of(file);
	char *twin;

	if (!version)
		return false;
	twin = uncompressed(file, version);
	*k = (struct vm_kernel){.image = twin ? twin : format("%s", file),
		.version = version,
		.modules = modules_of(file, version)};
	return true;
}

char *vm_cache_file(const char *name)
{
	const char *dir = getenv("CAUSEWAY_CACHE");
	const char *xdg = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");

	if (dir && *dir)
		return format("%s/%s", dir, name);
	if (xdg && *xdg)
		return format("%s/causeway/%s", xdg, name);
	return format("%s/.cache/causeway/%s", home && *home ? home : "/root", name);
}

static int is_image(const struct dirent *e)
{
	return !strncmp(e->d_name, "vmlinuz-", 8);
}

static bool take_installed(struct vm_kernel *k)
{
	static const char *const need[] = {"virtiofs", NULL};
	struct dirent **list;
	int n = scandir("/boot", &list, is_image, versionsort);
	bool found = false;

	while (n-- > 0) {
		AUTO_FREE char *path = format("/boot/%s", list[n]->d_name);
		AUTO_WORDS struct words files = {0};

		free(list[n]);
		if (!found && take(k, path) && k->modules && !access(path, R_OK))
			found = !vm_modules_find(k, need, &files);
	}
	return found;
}

int vm_kernel_choose(struct vm_kernel *k, const char *file)
{
	AUTO_FREE char *cached = vm_cache_file("kernel-6.1/boot/vmlinuz");

	if (file) {
		if (access(file, R_OK)) {
			say("--kernel: %s: %s", file, strerror(errno));
			return -1;
		}
		if (!take(k, file)) {
			say("--kernel: %s is no Linux kernel for this machine", file);
			return -1;
		}
		return 0;
	}
	if (take(k, cached) || take_installed(k))
		return 0;
	say("no kernel for the guest: run 'tools/setup kernel-6.1' in the source tree, or\n"
	    "causeway: 'apt-get install linux-image-cloud-amd64', or name one with --kernel");
	return -1;
}

bool vm_kernel_at_least(const struct vm_kernel *k, int major, int minor)
{
	int a = 0, b = 0;

	return sscanf(k->version, "%d.%d", &a, &b) == 2 &&
	       (a > major || (a == major && b >= minor));
}

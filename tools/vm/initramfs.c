// SPDX-License-Identifier: BSD-2-Clause
//
// The guest's initramfs, a cpio archive ("newc") in a memfd: pid 1, modules in loading order and,
// for the minimal root, busybox. QEMU opens it through /proc/self/fd, so nothing is left behind
// however we end.

#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODULE_MAX (64u << 20)

static const char *const modules_always[] = {"virtio_pci", "virtio_console", "virtiofs", NULL};
static const char *const modules_host_root[] = {"overlay", NULL};

static const char *const dirs[] = {"dev", "proc", "sys", "mnt", "modules", "bin"};

// Programs that come compressed modules' way, by the end of the file name.
static const struct decompressor {
	const char *suffix, *program, *package;
} decompressors[] = {
	{".xz", "xz", "xz-utils"},
	{".zst", "zstd", "zstd"},
	{".gz", "gzip", "gzip"},
};

static int pad4(struct bytes *b)
{
	return bytes_add(b, "\0\0\0", -b->len & 3);
}

static int add_entry(struct bytes *b, const char *name, mode_t mode, const void *data, size_t len)
{
	char head[128];

	snprintf(head, sizeof(head), "070701%08X%08X%08X%08X%08X%08X%08zX%08X%08X%08X%08X%08zX%08X",
		(unsigned int)b->len + 1, mode, 0, 0, 1, 0, len, 0, 0, 0, 0, strlen(name) + 1, 0);
	if (bytes_add(b, head, 110) || bytes_add(b, name, strlen(name) + 1) || pad4(b) ||
		bytes_add(b, data, len) || pad4(b)) {
		say("out of memory for the initramfs");
		return -1;
	}
	return 0;
}

static int add_file(struct bytes *b, const char *name, const char *path, mode_t mode)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p = NULL;
	int ret;

	if (fd < 0 || fstat(fd, &st)) {
		say("%s: %s", path, strerror(errno));
		return -1;
	}
	if (st.st_size)
		p = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED) {
		say("%s: %s", path, strerror(errno));
		return -1;
	}
	ret = add_entry(b, name, S_IFREG | mode, p, st.st_size);
	if (p)
		munmap(p, st.st_size);
	return ret;
}

static int add_module(struct bytes *b, unsigned int nr, char *path)
{
	const char *base = strrchr(path, '/') + 1;
	AUTO_FREE char *name = format("modules/%03u-%.*s.ko", nr, (int)strcspn(base, "."), base);

	for (size_t i = 0; i < sizeof(decompressors) / sizeof(decompressors[0]); i++) {
		const struct decompressor *d = &decompressors[i];
		size_t n = strlen(path), s = strlen(d->suffix), len;
		char *argv[] = {(char *)d->program, (char *)"-dc", path, NULL};
		AUTO_FREE char *data = NULL;

		if (n < s || strcmp(path + n - s, d->suffix))
			continue;
		data = vm_output_of(argv, MODULE_MAX, &len);
		if (!data) {
			say("cannot decompress %s with %s (Debian package %s)", path, d->program,
				d->package);
			return -1;
		}
		return add_entry(b, name, S_IFREG | 0644, data, len);
	}
	return add_file(b, name, path, 0644);
}

static int add_modules(struct bytes *b, const struct vm_kernel *k, const struct vm_options *o)
{
	AUTO_WORDS struct words files = {0};
	int ret = vm_modules_find(k, modules_always, &files);

	if (!ret && !o->root_minimal)
		ret = vm_modules_find(k, modules_host_root, &files);
	for (unsigned int i = 0; !ret && i < o->modules.n; i++)
		ret = vm_module_file(k, o->modules.v[i], &files);
	for (unsigned int i = 0; !ret && i < files.n; i++)
		ret = add_module(b, i, files.v[i]);
	return ret;
}

// Only a static busybox runs without the libraries around it.
static int add_busybox(struct bytes *b)
{
	static const char *const where[] = {
		"/bin/busybox", "/usr/bin/busybox", "/bin/busybox-static"};

	for (size_t i = 0; i < sizeof(where) / sizeof(where[0]); i++)
		if (!access(where[i], R_OK))
			return add_file(b, "bin/busybox", where[i], 0755);
	say("--root minimal needs busybox: apt-get install busybox-static");
	return -1;
}

static int fill(struct bytes *b, const struct vm_kernel *k, const struct vm_options *o)
{
	AUTO_FREE char *init = find_own("causeway-init", ".", "../libexec/causeway");

	if (!init) {
		say("causeway-init is missing beside this program");
		return -1;
	}
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (add_entry(b, dirs[i], S_IFDIR | 0755, NULL, 0))
			return -1;
	if (add_file(b, "init", init, 0755) || add_modules(b, k, o) ||
		(o->root_minimal && add_busybox(b)))
		return -1;
	return add_entry(b, "TRAILER!!!", 0, NULL, 0);
}

int vm_initramfs(const struct vm_kernel *k, const struct vm_options *o)
{
	struct bytes b = {0};
	int fd = memfd_create("causeway-initramfs", MFD_CLOEXEC);
	size_t done = 0;

	if (fd < 0) {
		say("memfd_create: %s", strerror(errno));
		return -1;
	}
	if (fill(&b, k, o))
		goto fail;
	while (done < b.len) {
		ssize_t n = write(fd, bytes_head(&b) + done, b.len - done);

		if (n < 0) {
			say("cannot write the initramfs: %s", strerror(errno));
			goto fail;
		}
		done += n;
	}
	bytes_free(&b);
	return fd;
fail:
	bytes_free(&b);
	close(fd);
	return -1;
}

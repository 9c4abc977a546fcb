// SPDX-License-Identifier: BSD-2-Clause
//
// A module that does not come with the guest's kernel (--module): what the file itself says of the
// kernel that it is for, and of the modules that it needs. The guest could only say "Exec format
// error".

#include "vm.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct image {
	const unsigned char *p;
	size_t size;
};

// The strings NAME=VALUE\0 of the section .modinfo; false: the file has none, or is no module.
static bool find_modinfo(const struct image *f, struct image *info)
{
	Elf64_Ehdr head;
	Elf64_Shdr names, s;

	if (f->size < sizeof(head))
		return false;
	memcpy(&head, f->p, sizeof(head));
	if (memcmp(head.e_ident, ELFMAG, SELFMAG) || head.e_ident[EI_CLASS] != ELFCLASS64 ||
		head.e_type != ET_REL || head.e_shentsize != sizeof(s) ||
		head.e_shstrndx >= head.e_shnum || head.e_shoff > f->size ||
		head.e_shnum > (f->size - head.e_shoff) / sizeof(s))
		return false;
	memcpy(&names, f->p + head.e_shoff + head.e_shstrndx * sizeof(s), sizeof(s));
	if (names.sh_offset > f->size || names.sh_size > f->size - names.sh_offset)
		return false;
	for (unsigned int i = 0; i < head.e_shnum; i++) {
		static const char want[] = ".modinfo";

		memcpy(&s, f->p + head.e_shoff + i * sizeof(s), sizeof(s));
		if (s.sh_name > names.sh_size || names.sh_size - s.sh_name < sizeof(want) ||
			memcmp(f->p + names.sh_offset + s.sh_name, want, sizeof(want)))
			continue;
		if (s.sh_offset > f->size || s.sh_size > f->size - s.sh_offset)
			return false;
		*info = (struct image){.p = f->p + s.sh_offset, .size = s.sh_size};
		return true;
	}
	return false;
}

// The value of the first string with that name; NULL: there is none. Owned by the caller.
static char *value_of(const struct image *info, const char *name)
{
	size_t n = strlen(name);

	for (size_t at = 0; at < info->size;) {
		const char *text = (const char *)info->p + at;
		size_t len = strnlen(text, info->size - at);

		if (len > n && !memcmp(text, name, n) && text[n] == '=')
			return strndup(text + n + 1, len - n - 1);
		at += len + 1;
	}
	return NULL;
}

static int add_needed(const struct vm_kernel *k, char *depends, struct words *files)
{
	char *name;

	while ((name = strsep(&depends, ","))) {
		const char *const names[] = {name, NULL};

		if (*name && vm_modules_find(k, names, files))
			return -1;
	}
	return 0;
}

static int look_at(const struct vm_kernel *k, const char *file, const struct image *f,
	struct words *files)
{
	struct image info;
	AUTO_FREE char *magic = NULL;
	AUTO_FREE char *depends = NULL;
	AUTO_FREE char *path = realpath(file, NULL);

	if (find_modinfo(f, &info)) {
		magic = value_of(&info, "vermagic");
		depends = value_of(&info, "depends");
	}
	if (!magic || !path) {
		say("--module: %s is no kernel module (uncompressed, as its build makes it)", file);
		return -1;
	}
	magic[strcspn(magic, " ")] = 0;
	if (strcmp(magic, k->version)) {
		say("--module: %s is for Linux %s, and the guest's is %s: build it with the "
		    "headers of that (make KDIR=...), or name another --kernel",
			file, magic, k->version);
		return -1;
	}
	if (depends && add_needed(k, depends, files))
		return -1;
	words_add(files, path);
	return 0;
}

int vm_module_file(const struct vm_kernel *k, const char *file, struct words *files)
{
	AUTO_CLOSE int fd = open(file, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p = MAP_FAILED;
	int ret;

	if (fd >= 0 && !fstat(fd, &st)) {
		if (!S_ISREG(st.st_mode) || !st.st_size)
			return look_at(k, file, &(struct image){0}, files);
		p = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	}
	if (p == MAP_FAILED) {
		say("--module: %s: %s", file, strerror(errno));
		return -1;
	}
	ret = look_at(k, file, &(struct image){.p = p, .size = st.st_size}, files);
	munmap(p, st.st_size);
	return ret;
}

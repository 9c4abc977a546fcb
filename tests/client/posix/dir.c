// SPDX-License-Identifier: BSD-2-Clause
/* Directories, listed by DIR (with attributes, as Linux does) and by getdents64() (without). */
#include "over.h"

#include <string.h>

/* What a DIR is here. */
struct listing {
	int fd;
	struct dirent entry;
};

DIR *over_opendir(const char *path)
{
	int fd = over_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct listing *l = fd < 0 ? NULL : calloc(1, sizeof(*l));

	if (l)
		l->fd = fd;
	return (DIR *)l;
}

struct dirent *over_readdir(DIR *dir)
{
	struct listing *l = (struct listing *)dir;
	struct causeway_file *f = over_file(l->fd);
	struct causeway_dirent e;
	struct stat st;
	int before = errno, r = f ? causeway_readdirplus(f, &e, &st) : -EBADF;

	/* At the end it stays what it was, which tells the end from an error. */
	errno = before;
	if (r <= 0) {
		over_result(r);
		return NULL;
	}
	l->entry = (struct dirent){
		.d_ino = st.st_ino, .d_off = (off_t)e.offset, .d_type = (unsigned char)e.type};
	strcpy(l->entry.d_name, e.name);
	return &l->entry;
}

long over_telldir(DIR *dir)
{
	struct causeway_file *f = over_file(((struct listing *)dir)->fd);

	return f ? (long)causeway_telldir(f) : -1;
}

void over_seekdir(DIR *dir, long at)
{
	struct causeway_file *f = over_file(((struct listing *)dir)->fd);

	if (f)
		causeway_seekdir(f, (uint64_t)at);
}

void over_rewinddir(DIR *dir)
{
	over_seekdir(dir, 0);
}

int over_closedir(DIR *dir)
{
	int fd = ((struct listing *)dir)->fd;

	free(dir);
	return over_close(fd);
}

/* An entry as the kernel packs it. */
struct packed_entry {
	uint64_t ino, offset;
	uint16_t length;
	uint8_t type;
	char name[];
};

static size_t pack(const struct causeway_dirent *e, char *at, size_t room)
{
	size_t length = (offsetof(struct packed_entry, name) + strlen(e->name) + 1 + 7) & ~7ul;
	struct packed_entry *p = (struct packed_entry *)at;

	if (length > room)
		return 0;
	p->ino = e->ino;
	p->offset = e->offset;
	p->length = (uint16_t)length;
	p->type = (uint8_t)e->type;
	strcpy(p->name, e->name);
	return length;
}

long over_getdents64(int fd, void *buf, size_t size)
{
	struct causeway_file *f = over_file(fd);
	struct causeway_dirent e;
	size_t done = 0;
	int r = 0;

	if (!f)
		return -1;
	for (;;) {
		uint64_t before = causeway_telldir(f);
		size_t length;

		r = causeway_readdir(f, &e);
		length = r > 0 ? pack(&e, (char *)buf + done, size - done) : 0;
		if (length == 0) {
			/* It is read the next time. */
			if (r > 0)
				causeway_seekdir(f, before);
			break;
		}
		done += length;
	}
	if (done > 0)
		return (long)done;
	return over_result(r > 0 ? -EINVAL : r);
}

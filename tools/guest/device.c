// SPDX-License-Identifier: BSD-2-Clause
//
// Which driver has a share's device. Two drivers know this kind of device when a module besides
// Linux's own is loaded, and who comes first has them all: what is for the other one is taken away
// from the first, through sysfs.

#include "init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DRIVERS "/sys/bus/virtio/drivers/"

// virtioN of a PCI device; 0 or -errno.
static int virtio_name(const char *pci, char *name, size_t size)
{
	char path[128];
	struct dirent *e;
	int ret = -ENOENT;
	DIR *d;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", pci);
	d = opendir(path);
	if (!d)
		return -errno;
	while (ret && (e = readdir(d)))
		if (!strncmp(e->d_name, "virtio", 6) && strlen(e->d_name) < size) {
			strcpy(name, e->d_name);
			ret = 0;
		}
	closedir(d);
	return ret;
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

void bind_device(struct guest *g, const struct share *s)
{
	char name[64], path[256], driver[256];
	const char *has;
	ssize_t n;
	int ret;

	if (snprintf(path, sizeof(path), DRIVERS "%s", s->type) >= (int)sizeof(path) ||
		access(path, F_OK))
		die(g, "the share %s cannot be %s: the guest has no driver of that name (its "
		       "module goes with --module)",
			s->tag, s->type);
	ret = virtio_name(s->device, name, sizeof(name));
	if (ret)
		die(g, "the device of the share %s (%s) is not there: %s", s->tag, s->device,
			strerror(-ret));
	snprintf(path, sizeof(path), "/sys/bus/virtio/devices/%s/driver", name);
	n = readlink(path, driver, sizeof(driver) - 1);
	if (n > 0) {
		driver[n] = 0;
		has = strrchr(driver, '/') + 1;
		if (!strcmp(has, s->type))
			return;
		snprintf(path, sizeof(path), "/sys/bus/virtio/devices/%s/driver/unbind", name);
		ret = write_text(path, name);
		if (ret)
			die(g, "cannot take %s from %s: %s", name, has, strerror(-ret));
	}
	snprintf(path, sizeof(path), DRIVERS "%s/bind", s->type);
	ret = write_text(path, name);
	if (ret)
		die(g, "%s does not take %s, the share %s: %s", s->type, name, s->tag,
			strerror(-ret));
}

// SPDX-License-Identifier: BSD-2-Clause

#include "asked.h"

#include "../tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <unistd.h>

#define TRACEFS "/sys/kernel/tracing"
#define EVENT "causeway_bench/sent"
#define HISTOGRAM TRACEFS "/events/" EVENT "/hist"
#define DEVICES_MAX 64
// Each is a request at least of the mount that is asked; anything else that goes on meanwhile is
// less.
#define QUESTIONS 32

// struct virtqueue begins with a list, a function and a name, then comes its struct virtio_device,
// which begins with N: so in every Linux since virtio-fs is there. Drivers give what is to be read
// and what is to be written as lists, or only something to be read.
#define DEVICE "dev=+0(+32($arg1)):u32"
static const char *const probes[] = {
	"p:" EVENT " virtqueue_add_sgs " DEVICE,
	"p:" EVENT " virtqueue_add_outbuf " DEVICE,
};

static int add_to(const char *file, const char *text)
{
	AUTO_CLOSE int fd = open(file, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return -errno;
	return 0;
}

int asked_start(void)
{
	int ret = 0;

	if (access(TRACEFS "/trace", F_OK) && mount("tracefs", TRACEFS, "tracefs", 0, NULL))
		return -errno;
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]) && !ret; i++)
		ret = add_to(TRACEFS "/kprobe_events", probes[i]);
	return ret ? ret : add_to(TRACEFS "/events/" EVENT "/trigger", "hist:keys=dev");
}

// Of each device, until now. Those that were sent nothing are not there.
static int read_all(uint64_t *counts)
{
	FILE *f = fopen(HISTOGRAM, "re");
	AUTO_FREE char *line = NULL;
	size_t room = 0;

	if (!f)
		return -errno;
	memset(counts, 0, DEVICES_MAX * sizeof(*counts));
	while (getline(&line, &room, f) > 0) {
		unsigned long long n;
		unsigned int device;

		if (sscanf(line, "{ dev: %u } hitcount: %llu", &device, &n) == 2 &&
			device < DEVICES_MAX)
			counts[device] = n;
	}
	fclose(f);
	return 0;
}

// Nothing names the device of a mount in every kernel and for all three file systems, but each
// asks its server how full it is.
int asked_device(const char *path)
{
	uint64_t before[DEVICES_MAX], after[DEVICES_MAX];
	struct statfs st;
	int ret = read_all(before), most = 0;

	for (int i = 0; i < QUESTIONS && !ret; i++)
		ret = statfs(path, &st) ? -errno : 0;
	if (!ret)
		ret = read_all(after);
	if (ret)
		return ret;
	for (int i = 1; i < DEVICES_MAX; i++)
		if (after[i] - before[i] > after[most] - before[most])
			most = i;
	return after[most] - before[most] >= QUESTIONS ? most : -ENODEV;
}

int asked_count(int device, uint64_t *n)
{
	uint64_t counts[DEVICES_MAX];
	int ret = read_all(counts);

	*n = ret ? 0 : counts[device];
	return ret;
}

// SPDX-License-Identifier: BSD-2-Clause
//
// Which QEMU runs the guest: the one named, else the one in PATH; and where that cannot do what is
// asked for, the one that tools/setup fetched.

#include "vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QEMU_DEFAULT "qemu-system-x86_64"
#define QEMU_CACHED "qemu-sid/bin/" QEMU_DEFAULT
#define OUTPUT_MAX 65536
#define DAX_MAJOR 11
#define DAX_MINOR 1

static char *version_of(const char *qemu)
{
	char *argv[] = {(char *)qemu, (char *)"--version", NULL};

	return vm_output_of(argv, OUTPUT_MAX, NULL);
}

bool vm_qemu_at_least(const char *qemu, int major, int minor)
{
	AUTO_FREE char *text = version_of(qemu);
	int ma, mi;

	if (!text || sscanf(text, "QEMU emulator version %d.%d", &ma, &mi) != 2)
		return false;
	return ma > major || (ma == major && mi >= minor);
}

// The device is older than its windows, which nothing but the version tells; and a build can do
// without the device. Its own help is asked for: the list of all devices loads modules, also such
// as do not fit a QEMU that is run from a directory of its own.
static bool can_dax(const char *qemu)
{
	char *argv[] = {(char *)qemu, (char *)"-device", (char *)VM_DAX_DEVICE ",help", NULL};
	AUTO_FREE char *text = NULL;

	if (!vm_qemu_at_least(qemu, DAX_MAJOR, DAX_MINOR))
		return false;
	text = vm_output_of(argv, OUTPUT_MAX, NULL);
	return text && strstr(text, "config_size=");
}

static int find_plain(struct vm_options *o)
{
	if (!o->qemu && vm_in_path(QEMU_DEFAULT)) {
		o->qemu = QEMU_DEFAULT;
		return 0;
	}
	if (o->qemu && vm_in_path(o->qemu))
		return 0;
	if (o->qemu)
		say("--qemu: %s: no such program", o->qemu);
	else
		say("no %s here: apt-get install qemu-system-x86", QEMU_DEFAULT);
	return -1;
}

static void say_no_dax(const char *qemu)
{
	AUTO_FREE char *text = version_of(qemu);

	say("--dax needs QEMU %d.%d or newer with the device " VM_DAX_DEVICE "; %s is %.*s",
		DAX_MAJOR, DAX_MINOR, qemu, text ? (int)strcspn(text, "\n") : 4,
		text ? text : "none");
	say("tools/setup qemu-sid fetches one into the cache, where it is found");
}

static int find_dax(struct vm_options *o)
{
	static char *cached;
	const char *named = o->qemu;

	if (named && find_plain(o))
		return -1;
	if (!named && vm_in_path(QEMU_DEFAULT))
		o->qemu = QEMU_DEFAULT;
	if (o->qemu && can_dax(o->qemu))
		return 0;
	if (!named) {
		cached = vm_cache_file(QEMU_CACHED);
		if (vm_in_path(cached) && can_dax(cached)) {
			o->qemu = cached;
			return 0;
		}
	}
	say_no_dax(o->qemu ? o->qemu : QEMU_DEFAULT);
	return -1;
}

int vm_qemu_find(struct vm_options *o)
{
	for (unsigned int i = 0; i < o->nshares; i++)
		if (vm_share_has_dax(o, &o->shares[i]))
			return find_dax(o);
	return find_plain(o);
}

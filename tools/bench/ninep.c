// SPDX-License-Identifier: BSD-2-Clause

#include "bench.h"

#include "../vm/vm.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#define KERNEL "kernel-6.1-full"
#define OPTIONS "trans=virtio,version=9p2000.L,msize=512000"

char *ninep_kernel(const struct bench_options *o)
{
	AUTO_FREE char *full = vm_cache_file(KERNEL "/boot/vmlinuz");

	if (o->kernel)
		return format("%s", o->kernel);
	return access(full, R_OK) ? NULL : format("%s", full);
}

int ninep_possible(const struct bench_options *o)
{
	static const char *const need[] = {"9p", "9pnet_virtio", NULL};
	AUTO_FREE char *file = ninep_kernel(o);
	AUTO_WORDS struct words files = {0};
	struct vm_kernel k = {.image = NULL};
	bool found;

	if (vm_kernel_choose(&k, file))
		return -1;
	found = !vm_modules_find(&k, need, &files);
	if (!found)
		say("bench: " NINEP " is left out; tools/setup " KERNEL
		    " gets a kernel that has it");
	free(k.image);
	free(k.version);
	free(k.modules);
	return found;
}

void ninep_words(struct words *argv, const char *tree)
{
	AUTO_FREE char *path = doubled(tree, ',');
	AUTO_FREE char *fsdev = format("local,id=bench9p,path=%s,security_model=none", path);
	const char *const options[] = {"-fsdev", fsdev, "-device",
		"virtio-9p-pci,fsdev=bench9p,mount_tag=" NINEP,
		// Processors are told from the threads that serve by their names.
		"-name", "debug-threads=on"};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		words_add(argv, "--qemu-option");
		words_add(argv, options[i]);
	}
}

int ninep_mount(const char *path)
{
	// The kernel fetches its modules by itself.
	return mount(NINEP, path, "9p", 0, OPTIONS) ? -errno : 0;
}

// The one that has processors of a guest.
pid_t ninep_server(pid_t vm)
{
	pid_t pids[SERVER_TREE_MAX], qemu = 0;
	unsigned int n = server_tree(vm, pids, 0), processors;

	for (unsigned int i = 0; i < n; i++) {
		server_processors_ns(pids[i], &processors);
		if (processors)
			qemu = pids[i];
	}
	return qemu;
}

uint64_t ninep_cpu_ns(pid_t qemu)
{
	const struct server server = {.pid = qemu};
	unsigned int processors;
	uint64_t guest = server_processors_ns(qemu, &processors);

	return server_cpu_ns(&server) - guest;
}

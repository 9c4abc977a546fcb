// SPDX-License-Identifier: BSD-2-Clause
//
// `causeway vm`: a virtual machine that lives as long as a command.
//
// Theory of operation. Four kinds of processes take part:
//
//   causeway ──┬── causewayd (one per share, one for the guest's root)
//              │      socket pairs to QEMU: vhost-user
//              └── QEMU ── the guest: causeway-init (pid 1) ── COMMAND
//                     one virtio-serial port to causeway: frames
//
// options.c reads the command line into struct vm_options. kernel.c, modules.c and initramfs.c find
// what to boot; start.c starts the children, qemu.c knows QEMU's command line. Then run.c's loop
// carries bytes: our standard input to the port, the port to our standard output and error, signals
// and window sizes beside them, all as the frames of frame.h. Both ends of a stream are the same
// code, stream.c. The kernel's console and QEMU's messages are kept aside as explanations.
//
// Nothing outlives us: children die with us by PR_SET_PDEATHSIG, sockets are socket pairs and the
// initramfs is a memfd, so even SIGKILL leaves no file and no process. A run ends in exactly one of
// the ways of enum run_end, and report.c has a row for each. A guest that resets is no end: it says
// HELLO again and the command starts anew.
//
// KVM counts as working when the guest speaks under it; otherwise the same machine is started again
// emulated, and that is remembered for an hour so that the next start does not try. Where foreign
// back-ends take part (--socket), a machine without them tries KVM first.

#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MEMORY_DEFAULT (1ull << 30)
#define MEMORY_LEAST (256ull << 20)
#define KVM_DISTRUST_S 3600

static uint64_t available_memory(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long long kib, sum = 0;
	char name[64];

	while (f && fscanf(f, "%63s %llu%*[^\n]", name, &kib) == 2)
		if (!strcmp(name, "MemAvailable:") || !strcmp(name, "SwapFree:"))
			sum += kib;
	if (f)
		fclose(f);
	return sum ? sum << 10 : UINT64_MAX;
}

// The guest's kernel keeps 64 bytes for each page of a window.
static uint64_t windows_cost(const struct vm_options *o)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < o->nshares; i++)
		if (vm_share_has_dax(o, &o->shares[i]))
			sum += o->dax / 64;
	return sum;
}

static int choose_memory(struct vm_options *o)
{
	uint64_t there = available_memory(), cost = windows_cost(o);
	uint64_t need = o->memory ? o->memory : MEMORY_LEAST + cost;

	if (need > there) {
		say("not enough memory for the guest: %llu MiB wanted, %llu MiB available; see "
		    "--memory",
			(unsigned long long)need >> 20, (unsigned long long)there >> 20);
		return -1;
	}
	if (!o->memory) {
		o->memory = there / 2 < MEMORY_DEFAULT + cost ? there / 2 : MEMORY_DEFAULT + cost;
		if (o->memory < MEMORY_LEAST + cost)
			o->memory = MEMORY_LEAST + cost;
		o->memory &= ~((1ull << 21) - 1);
	} else if (cost && o->memory < MEMORY_LEAST + cost) {
		say("--memory: %llu MiB are too little for a guest that keeps %llu MiB about the "
		    "pages of its DAX windows",
			(unsigned long long)o->memory >> 20, (unsigned long long)cost >> 20);
		return -1;
	}
	return 0;
}

static bool kvm_distrusted(void)
{
	AUTO_FREE char *file = vm_cache_file("kvm-does-not-work");
	struct stat st;

	return !lstat(file, &st) && S_ISREG(st.st_mode) && st.st_uid == getuid() &&
	       time(NULL) - st.st_mtime < KVM_DISTRUST_S;
}

static void distrust_kvm(void)
{
	AUTO_FREE char *file = vm_cache_file("kvm-does-not-work");
	AUTO_CLOSE int fd = open(file, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd >= 0)
		futimens(fd, NULL);
}

static void trust_kvm(void)
{
	AUTO_FREE char *file = vm_cache_file("kvm-does-not-work");

	unlink(file);
}

// Cheap signs that KVM is not there. That it is there shows only when the guest speaks.
static bool kvm_possible(void)
{
	AUTO_CLOSE int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	AUTO_CLOSE int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);

	return kvm >= 0 && ioctl(kvm, KVM_GET_API_VERSION, 0) == KVM_API_VERSION && vm >= 0;
}

// The guest's root is one more share, unless a --socket gives it.
static void add_root(struct vm_options *o)
{
	for (unsigned int i = 0; i < o->nshares; i++)
		if (o->shares[i].is_root)
			return;
	if (!o->root_minimal)
		o->shares[o->nshares++] = (struct vm_share){.dir = (char *)"/",
			.tag = (char *)VM_ROOT_TAG,
			.readonly = true,
			.is_root = true,
			.conn = -1};
}

static bool has_foreign(const struct vm_options *o)
{
	for (unsigned int i = 0; i < o->nshares; i++)
		if (o->shares[i].socket)
			return true;
	return false;
}

static int run_quietly(const struct vm_options *o, const struct vm_kernel *k, int initrd)
{
	static char *command[] = {(char *)"true", NULL};
	static struct vm_options trial;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	trial = *o;
	trial.command = command;
	trial.nshares = 0;
	for (unsigned int i = 0; i < o->nshares; i++)
		if (!o->shares[i].socket)
			trial.shares[trial.nshares++] = o->shares[i];
	return vm_run(&trial, k, initrd, true) == RUN_RETRY;
}

// Whether KVM gets a guest going that has none of the foreign back-ends: a first attempt that
// fails would end those.
static bool kvm_tried(const struct vm_options *o, const struct vm_kernel *k, int initrd)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(run_quietly(o, k, initrd));
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}

static int run_accelerated(struct vm_options *o, const struct vm_kernel *k, int initrd)
{
	bool kvm = o->accel == ACCEL_KVM;
	int status = RUN_RETRY;

	if (o->accel == ACCEL_AUTO)
		kvm = !kvm_distrusted() && kvm_possible();
	if (!kvm)
		return vm_run(o, k, initrd, false);
	if (o->accel == ACCEL_KVM || !has_foreign(o) || kvm_tried(o, k, initrd))
		status = vm_run(o, k, initrd, true);
	if (status != RUN_RETRY)
		return status;
	distrust_kvm();
	if (o->verbose)
		say("KVM does not run the guest here; emulating");
	status = vm_run(o, k, initrd, false);
	// What fails both ways says nothing about KVM.
	if (status == VM_EXIT_FAILURE)
		trust_kvm();
	return status;
}

int cmd_vm(int argc, char **argv)
{
	static struct vm_options o = {.cache = "auto"};
	static struct vm_kernel k;
	int status, initrd;

	if (vm_options_parse(&o, argc, argv, &status))
		return status;
	add_root(&o);
	if (choose_memory(&o) || vm_qemu_find(&o) || vm_kernel_choose(&k, o.kernel) ||
		vm_table_choose(&o))
		return VM_EXIT_FAILURE;
	initrd = vm_initramfs(&k, &o);
	if (initrd < 0)
		return VM_EXIT_FAILURE;
	status = run_accelerated(&o, &k, initrd);
	close(initrd);
	return status;
}

// SPDX-License-Identifier: BSD-2-Clause
//
// QEMU's command line. The machine has what the guest needs and nothing else: every device left out
// is boot time saved.

#include "vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// What a virtual machine need not find out, test or defend against.
#define CMDLINE                                                                                    \
	"console=ttyS0 panic=0 rdinit=/init no_timer_check tsc=reliable mitigations=off "          \
	"cryptomgr.notests random.trust_cpu=on 8250.nr_uarts=1 audit=0 selinux=0 apparmor=0"

// Emulation in QEMU before 10.0 gets CMPXCHG16B wrong enough for kernels of 6.12 and later to crash
// at random.
static bool bad_cx16(const struct vm_options *o, const struct vm_kernel *k)
{
	return vm_kernel_at_least(k, 6, 12) && !vm_qemu_at_least(o->qemu, 10, 0);
}

// Emulated processors take a host's processor each, also from the daemons, and 0.2 s of the boot.
static long default_cpus(bool kvm)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	if (!kvm)
		n /= 2;
	return n < 1 ? 1 : n > 4 ? 4 : n;
}

static char *kernel_cmdline(const struct vm_options *o)
{
	char *line = format(CMDLINE " %s", o->verbose ? "loglevel=7" : "quiet");

	for (unsigned int i = 0; i < o->append.n; i++) {
		char *longer = format("%s %s", line, o->append.v[i]);

		free(line);
		line = longer;
	}
	return line;
}

// In a list of QEMU's options a comma in a value is written twice. The slot is ours to say, for the
// guest is told where it finds the device (conf.c).
static void add_fs_device(
	struct words *w, const struct vm_options *o, const struct vm_share *s, unsigned int nr)
{
	AUTO_FREE char *tag = doubled(s->tag, ',');
	AUTO_FREE char *queues =
		o->queues ? format(",num-request-queues=%ld", o->queues) : format("%s", "");

	words_addf(w, "vhost-user-fs-pci,chardev=fs%u,addr=0x%x,tag=%s,queue-size=1024%s", nr,
		VM_SHARE_SLOT + nr, tag, queues);
}

// The only device of QEMU that asks its back-end for a window. It knows nothing of file systems:
// the tag and the number of queues are the back-end's word.
static void add_dax_device(struct words *w, const struct vm_options *o, unsigned int nr)
{
	words_addf(w,
		VM_DAX_DEVICE ",chardev=fs%u,addr=0x%x,virtio-id=26,num_vqs=%ld,vq_size=1024,"
			      "config_size=40",
		nr, VM_SHARE_SLOT + nr, 1 + (o->queues ? o->queues : 1));
}

static void add_share(
	struct words *w, const struct vm_options *o, const struct vm_share *s, unsigned int nr)
{
	words_add(w, "-chardev");
	words_addf(w, "socket,id=fs%u,fd=%d", nr, s->conn);
	words_add(w, "-device");
	if (vm_share_has_dax(o, s))
		add_dax_device(w, o, nr);
	else
		add_fs_device(w, o, s, nr);
}

static void add_pair(struct words *w, const char *option, const char *value)
{
	words_add(w, option);
	words_add(w, value);
}

static void add_machine(
	struct words *w, const struct vm_options *o, const struct vm_kernel *k, bool kvm)
{
	unsigned long long mib = o->memory >> 20;

	add_pair(w, "-name", "causeway");
	words_add(w, "-nodefaults");
	words_add(w, "-no-user-config");
	add_pair(w, "-display", "none");
	words_add(w, "-machine");
	words_addf(w,
		"q35,accel=%s,memory-backend=mem,smm=off,sata=off,smbus=off,hpet=off,vmport=off",
		kvm ? "kvm" : "tcg");
	add_pair(w, "-cpu", kvm ? "host" : bad_cx16(o, k) ? "max,-cx16" : "max");
	words_add(w, "-smp");
	words_addf(w, "%ld", o->cpus ? o->cpus : default_cpus(kvm));
	words_add(w, "-m");
	words_addf(w, "%lluM", mib);
	words_add(w, "-object");
	words_addf(w, "memory-backend-memfd,id=mem,size=%lluM,share=on", mib);
}

static void add_boot(
	struct words *w, const struct vm_options *o, const struct vm_kernel *k, int initrd)
{
	AUTO_FREE char *line = kernel_cmdline(o);

	add_pair(w, "-kernel", k->image);
	words_add(w, "-initrd");
	words_addf(w, "/proc/self/fd/%d", initrd);
	add_pair(w, "-append", line);
}

static void add_ports(struct words *w, const struct vm_plumbing *p)
{
	words_add(w, "-chardev");
	words_addf(w, "socket,id=console,fd=%d", p->console);
	add_pair(w, "-serial", "chardev:console");
	words_add(w, "-chardev");
	words_addf(w, "socket,id=port,fd=%d", p->port);
	add_pair(w, "-device", "virtio-serial-pci,max_ports=2,disable-legacy=on");
	add_pair(w, "-device", "virtserialport,chardev=port,name=" FRAME_PORT);
}

// All that a guest sees of the version table: memory that it can read, for QEMU opens the file for
// reading only. By our descriptor it is the one that we have looked at, whatever has its name now.
static void add_table(struct words *w, const struct vm_plumbing *p)
{
	words_add(w, "-object");
	words_addf(w,
		"memory-backend-file,id=versions,mem-path=/proc/self/fd/%d,size=%llu,share=on,"
		"readonly=on",
		p->table, (unsigned long long)p->table_size);
	add_pair(w, "-device", "ivshmem-plain,memdev=versions");
}

void vm_qemu_command(const struct vm_options *o, const struct vm_kernel *k,
	const struct vm_plumbing *p, struct words *w, int *keep)
{
	words_add(w, o->qemu);
	add_machine(w, o, k, p->kvm);
	add_boot(w, o, k, p->initrd);
	add_ports(w, p);
	for (unsigned int i = 0; i < o->nshares; i++) {
		add_share(w, o, &o->shares[i], i);
		*keep++ = o->shares[i].conn;
	}
	if (p->table >= 0) {
		add_table(w, p);
		*keep++ = p->table;
	}
	for (unsigned int i = 0; i < o->qemu_options.n; i++)
		words_add(w, o->qemu_options.v[i]);
	*keep++ = p->initrd;
	*keep++ = p->console;
	*keep++ = p->port;
	*keep = -1;
}

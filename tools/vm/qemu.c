// SPDX-License-Identifier: BSD-2-Clause
//
// QEMU's command line. The machine has what the guest needs and nothing else: every device left out
// is boot time saved.

#include "vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QEMU_DEFAULT "qemu-system-x86_64"

// What a virtual machine need not find out, test or defend against.
#define CMDLINE                                                                                    \
	"console=ttyS0 panic=0 rdinit=/init no_timer_check tsc=reliable mitigations=off "          \
	"cryptomgr.notests random.trust_cpu=on 8250.nr_uarts=1 audit=0 selinux=0 apparmor=0"

static void add(struct words *w, const char *option, char *value)
{
	words_add(w, (char *)option);
	if (value)
		words_add(w, value);
}

// In QEMU's option lists a comma in a value is written twice.
static char *quote(const char *value)
{
	char *out = format("%s%s", value, value), *p = out;

	for (; *value; value++) {
		*p++ = *value;
		if (*value == ',')
			*p++ = ',';
	}
	*p = 0;
	return out;
}

int vm_qemu_find(struct vm_options *o)
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

// Emulation in QEMU before 10.0 gets CMPXCHG16B wrong enough for kernels of 6.12 and later to crash
// at random.
static bool bad_cx16(const struct vm_options *o, const struct vm_kernel *k)
{
	char *argv[] = {(char *)o->qemu, (char *)"--version", NULL};
	AUTO_FREE char *text = NULL;
	int major = 0;

	if (!vm_kernel_at_least(k, 6, 12))
		return false;
	text = vm_output_of(argv, 4096, NULL);
	return text && sscanf(text, "QEMU emulator version %d.", &major) == 1 && major < 10;
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

static void add_share(
	struct words *w, const struct vm_options *o, const struct vm_share *s, unsigned int nr)
{
	AUTO_FREE char *tag = quote(s->tag);
	char *queues = o->queues ? format(",num-request-queues=%ld", o->queues) : format("%s", "");

	add(w, "-chardev", format("socket,id=fs%u,fd=%d", nr, s->conn));
	add(w, "-device",
		format("vhost-user-fs-pci,chardev=fs%u,tag=%s,queue-size=1024%s", nr, tag, queues));
	free(queues);
}

int vm_qemu_command(const struct vm_options *o, const struct vm_kernel *k,
	const struct vm_plumbing *p, struct words *w, int *keep)
{
	unsigned long long mib = o->memory >> 20;

	add(w, o->qemu, NULL);
	add(w, "-name", format("%s", "causeway"));
	add(w, "-nodefaults", NULL);
	add(w, "-no-user-config", NULL);
	add(w, "-display", format("%s", "none"));
	add(w, "-machine",
		format("q35,accel=%s,memory-backend=mem,smm=off,sata=off,smbus=off,hpet=off,vmport="
		       "off",
			p->kvm ? "kvm" : "tcg"));
	add(w, "-cpu", format("%s", p->kvm ? "host" : bad_cx16(o, k) ? "max,-cx16" : "max"));
	add(w, "-smp", format("%ld", o->cpus ? o->cpus : default_cpus(p->kvm)));
	add(w, "-m", format("%lluM", mib));
	add(w, "-object", format("memory-backend-memfd,id=mem,size=%lluM,share=on", mib));
	add(w, "-kernel", k->image);
	add(w, "-initrd", format("/proc/self/fd/%d", p->initrd));
	add(w, "-append", kernel_cmdline(o));
	add(w, "-chardev", format("socket,id=console,fd=%d", p->console));
	add(w, "-serial", format("%s", "chardev:console"));
	add(w, "-chardev", format("socket,id=port,fd=%d", p->port));
	add(w, "-device", format("%s", "virtio-serial-pci,max_ports=2,disable-legacy=on"));
	add(w, "-device", format("%s", "virtserialport,chardev=port,name=" FRAME_PORT));
	for (unsigned int i = 0; i < o->nshares; i++) {
		add_share(w, o, &o->shares[i], i);
		*keep++ = o->shares[i].conn;
	}
	for (unsigned int i = 0; i < o->qemu_options.n; i++)
		add(w, o->qemu_options.v[i], NULL);
	*keep++ = p->initrd;
	*keep++ = p->console;
	*keep++ = p->port;
	*keep = -1;
	return 0;
}

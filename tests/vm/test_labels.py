# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=200 needs=getfattr
"""A guest with SELinux labels what it creates, with --security-label together with its making. No
policy is loaded, so that one label is all that the guest has; what a label says is not our affair."""
import os

from guest import Daemon, Guest, check, fast_qemu, same

LABEL = "security.selinux"
KINDS = "touch f; mkdir d; ln -s f l; mknod p p; mknod c c 1 3"


def label(path, name=LABEL):
    try:
        return os.getxattr(path, name, follow_symlinks=False)
    except OSError:
        return None


for directory in ("on", "mapped", "off"):
    os.mkdir(directory)
KEEP = ("--modcaps", "+sys_admin")  # the host asks that of who sets security.*
daemons = [Daemon("on", "--security-label", *KEEP, name="on"),
           Daemon("mapped", "--security-label=auto", f"--xattrmap=:map:{LABEL}:trusted.vm.:", *KEEP,
                  name="mapped"),
           Daemon("off", "--xattr", *KEEP, name="off")]
guest = Guest(*fast_qemu(), *[o for d in daemons for o in ("--socket", f"{d.socket}:{d.name}")],
              "--append", "security=selinux")
for d in daemons:
    guest.run(f"cd /mnt/{d.name}; {KINDS}; cd /")
names = sorted(os.listdir("on"))
same("what was made", names, ["c", "d", "f", "l", "p"])
first = label("on/f")
check(first and first.endswith(b"\0"), f"label of a file: {first}")
for n in names:
    same(f"label of {n}", label(f"on/{n}"), first)
    same(f"label of {n} under another name", label(f"mapped/{n}", f"trusted.vm.{LABEL}"), first)
    same(f"own label of {n}", label(f"mapped/{n}"), None)
    same(f"label of {n} without the option", label(f"off/{n}"), None)
same("status", guest.close(), 0)
for d in daemons:
    same(f"status of {d.name}", d.wait(), 0)

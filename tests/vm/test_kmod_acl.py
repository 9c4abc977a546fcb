# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=600 jobs=2 needs=make,gcc-12,setfacl,getfacl,rsync,tar,setpriv
"""POSIX ACLs through causeway.ko, in a guest of each kernel, with caches that go by time and with those
of a version table: set and got by programs as on the host, and kept in the guest without a request; what
another guest or the host changes is in force as soon as the mode of caching says so, while others use
the file. And a server without --posix-acl has none."""
import os

import acls
import kmod
from guest import BOOT_SECONDS, FULL, Daemon, check, host, same, wait_for, warnings_of
from versions import tmpfs

TABLE = os.path.join(tmpfs(), "table")
USER = "setpriv --reuid 1234 --regid 77 --clear-groups"
READ = f"{USER} cat"
GETXATTR = 22
ROUNDS = 8 if FULL else 2
# Whose reads and looks go on while ACLs change: what they are told differs, and that is all.
READERS = f"""{USER} sh -c 'until [ -e /tmp/enough ]; do
    read x < /mnt/shared/d/f; [ -e /mnt/shared/d/g ]; done' 2>/dev/null &"""


def named(kernel, mode):
    return f"{mode}{kernel.replace('.', '-')}"


def setfacl(who, words, path):
    """By a guest, or by the host where that is None, of the shared directory."""
    if who:
        who.run(f"setfacl {words} /mnt/shared/{path}")
    else:
        host(f"setfacl {words} shared/{path}")


def may_read(guest, path):
    return guest.try_run(f"{READ} {path}")[0] == 0


def make(directory):
    """A file that the user may read by its ACL, in a directory that has one."""
    host(f"""umask 022; cd {directory}; chmod 755 .; mkdir d; chmod 755 d; setfacl -m m::rwx d
        echo x > d/f; setfacl -m u:1234:r--,m::r-- d/f; touch d/g""")


def kept(guest, tag, path):
    """Who looks again asks for no ACL, when what the host did before has been told."""
    look = f"{READ} {path}; {USER} getfacl -n {path}; getfacl -n {path}"

    def costs_none():
        before = guest.sent(tag)
        guest.run(look)
        return guest.sent(tag)[GETXATTR] == before[GETXATTR]
    guest.run(look)
    wait_for(f"{tag}: end of questions for ACLs", costs_none)


def by_time(guest, tag):
    """A change of the host, with one mode and mask before and after it: seen when the time is over, and
    before that by whom it lets in."""
    path = f"/mnt/{tag}/d/f"
    make(tag)
    # The inode is known, and as long as nothing says otherwise, for long.
    guest.run(f"mount -i -t causeway -o remount,attr_timeout=600,entry_timeout=600 {tag} /mnt/{tag}")
    kept(guest, tag, path)
    host(f"setfacl -m u:1234:---,m::r-- {tag}/d/f")
    check(may_read(guest, path), f"{tag}: what is believed for ten minutes is asked for again")
    guest.run(f"mount -i -t causeway -o remount,attr_timeout=1,entry_timeout=1 {tag} /mnt/{tag}")
    guest.run(f"stat --cached=never {path}")
    wait_for("end of what a user might", lambda: not may_read(guest, path))
    host(f"setfacl -m u:1234:r--,m::r-- {tag}/d/f")
    check(may_read(guest, path), f"{tag}: who has just been let in is refused")
    host(f"setfacl -m u:1234:---,m::rwx {tag}/d")
    wait_for("end of the way to it", lambda: not may_read(guest, path))


def by_word(guests):
    """What one guest changes is so in the other when it is told that it is done; what the host does, soon."""
    path = "/mnt/shared/d/f"
    for guest in guests:
        kept(guest, guest.shared, path)
        guest.run(f"rm -f /tmp/enough\n{READERS}")
    for n in range(ROUNDS):
        one, other = guests[n % 2], guests[1 - n % 2]
        for what in ("d/f", "d"):
            setfacl(one, "-m u:1234:---,m::r-x", what)
            for guest in (other, one):
                check(not may_read(guest, path), f"round {n}: {what}: who may no more still reads")
            # The new mask and the old one are one mode.
            setfacl(other, f"-m u:1234:{'r--' if what == 'd/f' else 'r-x'},m::r-x", what)
            for guest in (one, other):
                check(may_read(guest, path), f"round {n}: {what}: who may again does not read")
    # A mask is of the mode.
    guests[0].run(f"chmod 600 {path}")
    check(not may_read(guests[1], path), "chmod does not take what an ACL gives")
    guests[1].run(f"chmod 640 {path}")
    check(may_read(guests[0], path), "chmod does not give back what an ACL gives")
    for rights, what in (("---", "end"), ("r--", "return"), ("---", "second end")):
        setfacl(None, f"-m u:1234:{rights},m::r--", "d/f")
        for guest in guests:
            wait_for(f"{what} of what a user might", lambda: may_read(guest, path) == (rights == "r--"))
    for guest in guests:
        guest.run("touch /tmp/enough; wait")


def inherited(guests):
    """A default ACL that has just been changed elsewhere is the next file's."""
    for n, entry in enumerate(("user:1234:r--", "user:1235:rw-", "group:9:r-x")):
        one, other = guests[n % 2], guests[1 - n % 2]
        setfacl(one, f"-d -k -m {entry}", "d")
        other.run(f"(umask 077; echo x > /mnt/shared/d/new{n}; mkdir /mnt/shared/d/dir{n})")
        for name in (f"new{n}", f"dir{n}"):
            shown = [g.run(f"cd /mnt/shared/d; getfacl -n {name}; cd /") for g in guests]
            shown.append(host(f"cd shared/d; getfacl -n {name}"))
            check(entry in shown[0] and shown.count(shown[0]) == 3, f"ACL of {name}: {shown}")


def without(guest, tag):
    status, text = guest.try_run(f"touch /mnt/{tag}/f; setfacl -m u:1234:r-- /mnt/{tag}/f")
    check(status and "not supported" in text, f"ACL of a share that has none: {status}: {text}")
    host(f"setfacl -m u:1234:r--,m::r-- {tag}/f; chmod g= {tag}/f; chmod o= {tag}/f")
    same(f"{tag}: what is shown", "1234" in guest.run(f"getfacl -n /mnt/{tag}/f"), False)


def start(kernel):
    auto, bare, shared = (named(kernel, mode) for mode in ("auto", "bare", "shared"))
    os.mkdir(auto)
    os.mkdir(bare)
    daemons = [Daemon(auto, "--posix-acl", name=auto), Daemon(bare, "--xattr", name=bare),
               Daemon("shared", "--posix-acl", "--version-table", TABLE, name=shared)]
    words = [w for d, o in zip(daemons, ((), (), ("cache=shared",))) for w in kmod.share(d, *o)]
    # What is used after it is freed is not what it was.
    guest = kmod.KmodGuest(kernel, *words, "--version-table", TABLE, "--cpus", "2", "--append",
                           "slub_debug=FZP,kmalloc*", "--memory", "1G")
    guest.run(f"mkdir /mnt/shared; mount --bind /mnt/{shared} /mnt/shared")
    guest.shared = shared
    return guest, daemons


os.mkdir("shared")
vms, servers = zip(*(start(k) for k in kmod.KERNELS))
for version, vm in zip(kmod.KERNELS, vms):
    for directory, mount in ((named(version, "auto"), named(version, "auto")), ("shared", vm.shared)):
        print(f"{version}: {directory}", flush=True)
        acls.compare(vm, f"{directory}/w{version}", f"/mnt/{mount}/w{version}")
    by_time(vm, named(version, "auto"))
    without(vm, named(version, "bare"))
make("shared")
by_word(vms)
inherited(vms)
for vm in vms:
    same("kernel warnings", warnings_of(vm), [])
    same("status", vm.close(), 0)
same("statuses", [d.wait(BOOT_SECONDS) for one in servers for d in one], [0] * 6)

# SPDX-License-Identifier: BSD-2-Clause
# check: full timeout=900 needs=make,gcc-12
"""What file systems are used for besides files, on causeway.ko: overlayfs above and below, handles as an
NFS server has them, freezing, id-mapped mounts, submounts, flags of files (chattr), and files to swap to,
which are refused. On each of its kernels."""
import os

import kmod
from guest import COMMAND_SECONDS, Daemon, check, host, same, wait_for, warnings_of

IOCTL = 39

# name_to_handle_at() and open_by_handle_at(): of what was renamed, too, and of what is no more. Caches go
# in between, but for what is open: a server that was told to forget a node knows its handle no more. What
# inotify watches is there without a name, nor are the directories above it, which are looked up from there.
HANDLES = r"""
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
class Handle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("data", ctypes.c_char * 128)]
def handle(path):
    h, mount = Handle(128), ctypes.c_int()
    if libc.name_to_handle_at(-100, path.encode(), ctypes.byref(h), ctypes.byref(mount), 0) < 0:
        raise OSError(ctypes.get_errno(), "name_to_handle_at")
    return h
def by(h, what, flags=os.O_RDONLY):
    fd = libc.open_by_handle_at(where, ctypes.byref(h), flags)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "open_by_handle_at")
    try:
        return what(fd)
    finally:
        os.close(fd)
top = sys.argv[1]
where = os.open(top, os.O_RDONLY)
os.makedirs(top + "/a/b")
open(top + "/a/b/f", "w").write("text")
os.symlink("f", top + "/a/b/l")
file, folder, root = handle(top + "/a/b/f"), handle(top + "/a/b"), handle(top)
os.rename(top + "/a/b", top + "/moved")
held = [os.open(top + "/moved", os.O_RDONLY), os.open(top + "/moved/f", os.O_RDONLY)]
open("/proc/sys/vm/drop_caches", "w").write("3")
print(by(file, lambda fd: os.read(fd, 10).decode()))
print(sorted(by(folder, os.listdir)), by(root, os.listdir) != [])
print(by(folder, lambda fd: os.readlink("/proc/self/fd/%d" % fd)) == top + "/moved")
by(file, lambda fd: os.write(fd, b" more"), os.O_WRONLY | os.O_APPEND)
print(open(top + "/moved/f").read())
os.close(held.pop())
os.unlink(top + "/moved/f")
# It is there until the server has answered the RELEASE of what was closed last.
error = 0
for _ in range(600):
    open("/proc/sys/vm/drop_caches", "w").write("3")
    try:
        by(file, lambda fd: os.read(fd, 10))
        time.sleep(0.1)
    except OSError as e:
        error = e.errno
        break
print(error)

def drop():
    for _ in range(3):
        open("/proc/sys/vm/drop_caches", "w").write("3")
def lookups():
    words = list(map(int, open("/sys/fs/causeway/%s/requests_by_opcode" % os.path.basename(top)).read().split()))
    return dict(zip(words[::2], words[1::2]))[1]
os.makedirs(top + "/p/q/r/s")
open(top + "/p/q/r/f", "w").write("deep")
deep, file = handle(top + "/p/q/r"), handle(top + "/p/q/r/f")
notify = libc.inotify_init()
watches = [libc.inotify_add_watch(notify, (top + "/p/q/r" + n).encode(), 0x100) for n in ("", "/f")]
assert min(watches) > 0
drop()
before = lookups()
print(by(deep, lambda fd: os.readlink("/proc/self/fd/%d" % fd)) == top + "/p/q/r")
# Of each of the three its directory; its name there comes from a listing.
print(min(lookups() - before, 3))
print(by(file, lambda fd: os.read(fd, 10).decode()), sorted(by(deep, os.listdir)))
# From another place than it was at when it was watched: the host moves what the guest does not see.
drop()
print("move", flush=True)
while not os.path.exists("/tmp/moved"):
    time.sleep(0.05)
print(by(deep, lambda fd: os.readlink("/proc/self/fd/%d" % fd)) == top + "/elsewhere")
for watch in watches:
    libc.inotify_rm_watch(notify, watch)
error = 0
for _ in range(600):
    drop()
    try:
        by(deep, os.listdir)
        time.sleep(0.1)
    except OSError as e:
        error = e.errno
        break
print(error, os.path.isdir(top + "/elsewhere/s"))
"""

# A mount of the directory whose ids are mapped by a user namespace: 0 there is 5000 here.
IDMAP = r"""
import ctypes, os, struct, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    r = libc.syscall(number, *args)
    if r < 0:
        raise OSError(ctypes.get_errno(), "system call %d" % number)
    return r
source, target = sys.argv[1:]
child = subprocess.Popen(["unshare", "-U", "cat"], stdin=subprocess.PIPE)
while os.readlink(f"/proc/{child.pid}/ns/user") == os.readlink("/proc/self/ns/user"):
    pass
for kind in "ug":
    open(f"/proc/{child.pid}/{kind}id_map", "w").write("0 5000 1000")
ns = os.open(f"/proc/{child.pid}/ns/user", os.O_RDONLY)
tree = call(428, -100, source.encode(), 1)  # open_tree, OPEN_TREE_CLONE
attr = struct.pack("<4Q", 0x100000, 0, 0, ns)  # MOUNT_ATTR_IDMAP
try:
    call(442, tree, b"", 0x1000, attr, len(attr))
except OSError as e:
    print(e)
    sys.exit(0)
finally:
    child.kill()
call(429, tree, b"", -100, target.encode(), 4)  # move_mount
os.close(tree)
os.chmod(source, 0o777)
os.setegid(5004)
os.seteuid(5003)
open(target + "/mine", "w").close()
os.seteuid(0)
st = os.stat(target + "/mine")
print(st.st_uid, st.st_gid)
st = os.stat(source + "/mine")
print(st.st_uid, st.st_gid)
subprocess.run(["umount", target], check=True)
"""


def overlay(guest, tag):
    """A share as both layers, then below a layer that is elsewhere."""
    guest.run(f"""(set -e; cd /mnt/{tag}; mkdir lower upper work merged; echo low > lower/f
        mkdir -p lower/d/e; ln -s f lower/l; echo gone > lower/gone)""")
    for upper, top in ((f"/mnt/{tag}", "both"), ("/tmp/up", "below")):
        guest.run(f"mkdir -p {upper}/upper {upper}/work && mount -t overlay overlay -o "
                  f"lowerdir=/mnt/{tag}/lower,upperdir={upper}/upper,workdir={upper}/work "
                  f"/mnt/{tag}/merged")
        same(f"{top}: read", guest.run(f"cd /mnt/{tag}/merged; cat f l; ls; cd /").split(),
             ["low", "low", "d", "f", "gone", "l"])
        guest.run(f"""(set -e; cd /mnt/{tag}/merged; echo more >> f; rm gone; mkdir gone; rm -r gone
            mv d/e moved; rmdir d; mkdir d; touch d/new)""")
        same(f"{top}: changed", guest.run(f"cd /mnt/{tag}/merged; cat f; find . | sort; cd /").split(),
             ["low", "more", ".", "./d", "./d/new", "./f", "./l", "./moved"])
        guest.run(f"umount /mnt/{tag}/merged")
    same("below", guest.run(f"cd /mnt/{tag}/lower; find . | sort; cd /").split(),
         [".", "./d", "./d/e", "./f", "./gone", "./l"])


def handles(guest, tag):
    guest.run(f"cat > /tmp/handles.py <<'END'\n{HANDLES}\nEND\n"
              f"mkdir /mnt/{tag}/h; python3 /tmp/handles.py /mnt/{tag} >/tmp/handles 2>&1 & handles=$!; "
              "while kill -0 $handles && ! grep -q move /tmp/handles; do sleep 0.05; done")
    host(f"mv {tag}/p/q/r {tag}/elsewhere", check_status=False)
    guest.try_run("touch /tmp/moved; wait $handles", COMMAND_SECONDS)
    same("by handles", guest.run("cat /tmp/handles").splitlines(), [
        "text", "['f', 'l'] True", "True", "text more", "116",
        "True", "3", "deep ['f', 's']", "move", "True", "116 True"])


def freeze(guest, tag):
    """Who writes waits until it thaws."""
    guest.run(f"echo before > /mnt/{tag}/frozen; fsfreeze -f /mnt/{tag}")
    guest.send(f"(echo after > /mnt/{tag}/frozen; echo done > /tmp/thawed) &\n")
    guest.run("until grep -q 'percpu_rwsem\\|rwsem\\|sb_start' /proc/$!/wchan || "
              "[ $(cut -d' ' -f3 /proc/$!/stat) = D ]; do sleep 0.05; done")
    same("while it is frozen", host(f"cat {tag}/frozen"), "before\n")
    guest.run(f"cat /mnt/{tag}/frozen; test ! -e /tmp/thawed; fsfreeze -u /mnt/{tag}; wait; rm /tmp/thawed; "
              f"sync -f /mnt/{tag}")
    same("after it", host(f"cat {tag}/frozen"), "after\n")


def idmap(guest, tag):
    got = guest.run(f"cat > /tmp/idmap.py <<'END'\n{IDMAP}\nEND\n"
                    f"mkdir -p /tmp/mapped; python3 /tmp/idmap.py /mnt/{tag} /tmp/mapped").splitlines()
    same("owners through an id-mapped mount", got, ["5003 5004", "3 4"])


def flags(guest, tag):
    """chattr(1) and lsattr(1), of files and directories, are about the host's; what these flags forbid is
    refused by the host, in a file that is open, too. What the server does not know is ENOTTY."""
    top = f"/mnt/{tag}/flags"
    guest.run(f"mkdir -p {top}/d; echo x > {top}/f; echo x > {top}/d/f; ln -s f {top}/l")

    def show():
        """Its flags in the guest, which are those on the host."""
        seen = [run(f"lsattr -d {place}/d {place}/f; lsattr -p {place}/d") for run, place in
                ((guest.run, top), (host, f"{tag}/flags"))]
        same("flags in the guest", seen[0].replace(top, f"{tag}/flags"), seen[1])
        return dict(reversed(line.split()) for line in seen[1].splitlines()[:2])

    def may(command):
        return guest.try_run(f"(cd {top}; {command})")[0] == 0
    try:
        guest.run(f"chattr +d {top}/f; chattr +Ad {top}/d; chattr -p 0 {top}/d/f")
        one = show()
        check("d" in one[f"{tag}/flags/f"] and "A" in one[f"{tag}/flags/d"], f"flags that were set: {one}")
        same("IOCTL", guest.sent(tag)[IOCTL] > 0, True)
        guest.run(f"exec 5<>{top}/f; chattr +i {top}/f; chattr +a {top}/d")
        one = show()
        check("i" in one[f"{tag}/flags/f"] and "a" in one[f"{tag}/flags/d"], f"flags that forbid: {one}")
        for what in ("echo y >> f", "echo y >&5", "chmod 600 f", "ln f g", "rm f", "mv f g", "rm d/f", "mv d/f g"):
            check(not may(what), f"done to an immutable file, or in a directory to add to: {what}")
        check(may("cat f") and may("touch d/new"), "reading, or adding, is refused")
        host(f"chattr -i {tag}/flags/f; chattr -a +i {tag}/flags/d")
        show()
        check(may("echo y >> f") and may("echo z >&5") and not may("touch d/newer"),
              "flags that the host has changed are not in force")
        guest.run(f"chattr -i {top}/d; exec 5>&-")
        check(may("touch d/newer && rm d/new"), "a directory that is immutable no more")
    finally:
        host(f"chattr -R -f -i -a {tag}/flags", check_status=False)
    same("on the host", host(f"cd {tag}/flags; cat f; ls d"), "z\ny\nf\nnewer\n")
    same("project that a guest sets", guest.try_run(f"chattr -p 7 {top}/f")[0] != 0, True)
    same("a command that is none of these", guest.run(
        "python3 -c 'import errno, fcntl, sys\nwith open(sys.argv[1]) as f:\n try: fcntl.ioctl(f, 0x80087601, "  # FS_IOC_GETVERSION
        f"bytes(8))\n except OSError as e: print(errno.errorcode[e.errno])' {top}/f"), "ENOTTY\n")


def swap(guest, tag):
    guest.run(f"dd if=/dev/zero of=/mnt/{tag}/swap bs=64k count=64 status=none; "
              f"chmod 600 /mnt/{tag}/swap; mkswap -q /mnt/{tag}/swap")
    status, said = guest.try_run(f"swapon /mnt/{tag}/swap")
    check(status != 0 and "Invalid argument" in said, f"swapping to a file: {status}, {said}")
    guest.run(f"rm /mnt/{tag}/swap")


def submounts(guest, daemon, tag):
    """One of the host is one in the guest, with a device number of its own. It outlives the place where
    it was found, and the server forgets it when the last mount of it is gone."""
    got = guest.run(f"cd /mnt/{tag}; cat sub/f; stat -c %i sub/f; stat -c %d . sub; cd /").split()
    same("in it", got[:2], ["inside", str(os.stat(f"{tag}/sub/f").st_ino)])
    check(got[2] != got[3], f"a submount has its parent's device number: {got}")
    guest.run(f"mkdir /tmp/else; mount --bind /mnt/{tag}/sub /tmp/else; umount /mnt/{tag}/sub")

    def left(most):
        guest.run("echo 3 > /proc/sys/vm/drop_caches")
        return daemon.statistics()[1] <= most
    # The share's root, and the submount's.
    wait_for("end of what is not in use", lambda: left(2))
    same("at another place", guest.run("echo new > /tmp/else/new; ls /tmp/else; cat /tmp/else/f /tmp/else/new"),
         "f\nnew\ninside\nnew\n")
    guest.run("umount /tmp/else; rmdir /tmp/else")
    wait_for("end of the submount", lambda: left(1))


def one_kernel(kernel):
    tag = f"s{kernel.replace('.', '-')}"
    os.makedirs(f"{tag}/sub")
    host(f"mount -t tmpfs tmpfs {tag}/sub; echo inside > {tag}/sub/f")
    try:
        # An upper layer has attributes of its own, trusted.*, which are an administrator's, as some flags are.
        daemon = Daemon(tag, "--xattr", "--modcaps", "+sys_admin:+linux_immutable", "--announce-submounts", name=tag)
        guest = kmod.KmodGuest(kernel, *kmod.share(daemon))
        submounts(guest, daemon, tag)
        for what in (overlay, handles, freeze, idmap, flags, swap):
            print(f"{kernel}: {what.__name__}", flush=True)
            what(guest, tag)
        same("kernel warnings", warnings_of(guest), [])
        guest.run(f"umount /mnt/{tag}")
        guest.unload()
        same("status", (guest.close(), daemon.wait()), (0, 0))
    finally:
        host(f"umount {tag}/sub")


for version in kmod.KERNELS:
    one_kernel(version)

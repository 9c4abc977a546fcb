# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=600 needs=rsync,tar,setfattr,getfattr,setfacl,getfacl
"""What asks most of a file system: an overlayfs in the guest whose upper directory is on the share,
and rsync and tar of a tree with everything that they can carry, from share to share and back."""
import os

from guest import Daemon, Guest, check, fast_qemu, host, same, warnings_of

# Lower files are changed, removed and replaced in every way that leaves a trace above.
OVERLAY = """set -e; mkdir -p /tmp/low/dir/sub /tmp/low/gone-dir /tmp/low/opaque /tmp/o
cd /tmp/low; echo low > change; echo low > gone; echo low > move; echo low > dir/file
echo low > opaque/old; echo low > gone-dir/x; ln change linked; chmod 711 dir/file
mount -t overlay o /tmp/o -o lowerdir=/tmp/low,upperdir=/mnt/x/upper,workdir=/mnt/x/work
cd /tmp/o; echo up >> change; rm gone; mv move moved; rm -r gone-dir opaque; mkdir opaque
echo new > opaque/new; echo new > dir/sub/new; mkdir empty; ln -s change link; mkfifo pipe
setfattr -n user.a -v 1 dir/file; chown 5:6 dir/sub; touch -d 2001-02-03 dir/file; cd /"""

TREE = r"""set -e; mkdir TREE; cd TREE; umask 022; mkdir d d/e; echo text > f; ln f d/hard; ln f d/e/hard2
echo "long" > "d/a name
of two lines"; echo x > "$(printf 'latin \351')"; ln -s ../f d/link; ln -s /nowhere broken; mkfifo p
mknod c c 1 5; mknod b b 7 200; truncate -s 3M sparse; printf end | dd of=sparse seek=2097152 bs=1 \
conv=notrunc status=none; chown 1234:4321 f; chown -h 77:78 broken; chmod 6755 d/a*; chmod 1777 d/e
setfattr -n user.one -v 1 f; setfattr -n user.two -v 0x00ff d; setfattr -n trusted.t -v t d/e
setfacl -m u:1234:rw-,g:99:r-- f; setfacl -d -m u:5:rwx d; touch -hd 2001-02-03T04:05:06.789 broken
touch -d 1999-01-01 d/e f; : > empty"""

# All that can be compared of a tree: one line a file, then contents, attributes and ACLs.
SHOW = r"""cd TREE; find . -printf '%y %m %n %U:%G %s %T@ %p -> %l\n' | sed 's/^\(d [^ ]* [^ ]* [^ ]*\) [0-9]*/\1/' |
LC_ALL=C sort; find . -type f | LC_ALL=C sort | tr '\n' '\0' | xargs -0 cksum; stat -c '%t:%T' b c
find . -samefile f | LC_ALL=C sort; getfattr -R -h -d -m '^(user|trusted)\.' . | grep -v '^$'; getfacl -R -n -p ."""


def overlay(guest):
    guest.run("modprobe overlay 2>/dev/null; mkdir /mnt/x/upper /mnt/x/work")
    guest.run(f"({OVERLAY})")
    shown = "cd /tmp/o; find . -printf '%y %m %U:%G %p\\n' | sort; cat change moved dir/file dir/sub/new"
    before = guest.run(f"({shown})")
    for path, there in (("gone", False), ("move", False), ("gone-dir", False), ("opaque/old", False),
                        ("moved", True), ("opaque/new", True), ("dir/sub/new", True)):
        same(f"overlay: {path}", guest.try_run(f"test -e /tmp/o/{path}")[0] == 0, there)
    # What is left on the host is what overlayfs means by it.
    for path in ("gone", "move", "gone-dir"):
        same(f"whiteout {path}", host(f"stat -c '%F %t:%T' x/upper/{path}"),
             "character special file 0:0\n")
    same("opaque", host("getfattr -h --only-values -n trusted.overlay.opaque x/upper/opaque"), "y")
    same("the copy", host("cat x/upper/change; stat -c '%a %Y' x/upper/dir/file"),
         "low\nup\n711 981158400\n")
    # Another mount of the same layers shows the same.
    guest.run("umount /tmp/o; mount -t overlay o /tmp/o "
              "-o lowerdir=/tmp/low,upperdir=/mnt/x/upper,workdir=/mnt/x/work")
    same("mounted again", guest.run(f"({shown})"), before)
    guest.run("umount /tmp/o")
    lacks = [line for line in guest.run("dmesg").splitlines()
             if "overlay" in line and "not support" in line and "tmpfile" not in line]
    same("what overlayfs misses of the share", lacks, [])


# It takes times of one second for equal otherwise, and the tree is as new as its copies.
RSYNC = "rsync -aHAXS --modify-window=-1 "


def copies(guest):
    """Of a tree that the host has made, to another share and back."""
    host(TREE.replace("TREE", "x/tree"))
    want = host(SHOW.replace("TREE", "x/tree"))
    check(want.count("user.one") == 3 and "7:c8" in want, f"the tree lacks something:\n{want}")
    guest.run("cd /mnt/x; " + RSYNC + "tree/ to-local/; " + RSYNC + "tree/ /mnt/y/rsync/; "
              "tar --xattrs --xattrs-include='*' --acls --numeric-owner -Scf /mnt/y/tree.tar tree; "
              "mkdir /mnt/y/tar; tar --xattrs --xattrs-include='*' --acls --numeric-owner -xpf "
              "/mnt/y/tree.tar -C /mnt/y/tar; cd /", 200)
    guest.run(RSYNC + "/mnt/y/rsync/ /mnt/x/back/; sync", 200)
    for path in ("x/tree", "x/to-local", "y/rsync", "y/tar/tree", "x/back"):
        got = host(SHOW.replace("TREE", path))
        same(f"{path}: on the host", differing(got, want), [])
        got = guest.run(f"({SHOW.replace('TREE', '/mnt/' + path)})")
        same(f"{path}: in the guest", differing(got, want), [])
        sparse = int(host(f"stat -c %b {path}/sparse")) * 512
        check(sparse < 1 << 20, f"{path}/sparse takes {sparse} bytes")
    # A second run finds nothing to do, also with checksums.
    same("again", guest.run("rsync -aHAXSc --delete -i /mnt/x/tree/ /mnt/y/rsync/"), "")


def differing(got, want):
    ours, theirs = got.splitlines(), want.splitlines()
    return [f"- {line}" for line in theirs if line not in ours] + [
        f"+ {line}" for line in ours if line not in theirs]


for name in ("x", "y"):
    os.mkdir(name)
TRUSTED = ("--modcaps", "+sys_admin")  # for trusted attributes, which the overlay needs too
daemons = [Daemon("x", "--xattr", "--posix-acl", *TRUSTED, name="x"),
           Daemon("y", "--posix-acl", "--cache", "always", "--writeback", *TRUSTED, name="y")]
vm = Guest(*fast_qemu(), *[o for d in daemons for o in ("--socket", f"{d.socket}:{d.name}")], "--memory", "1G")
overlay(vm)
copies(vm)
same("kernel warnings", warnings_of(vm), [])
same("status", vm.close(), 0)
for d in daemons:
    same(f"{d.name}: status", d.wait(), 0)

# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=900 needs=tar
"""A large tree: unpacked with tar and copied with cp in the guest, compared by checksums on both
sides, walked, and removed; the daemon's descriptors stay bounded and its nodes go."""
import os
import time

from guest import FULL, Daemon, Guest, check, fast_qemu, host, same

FILES = 5_000 if FULL else 2_500
SUMS = "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 cksum | cksum"
SHAPE = "find . -printf '%y %m %s %l %p\\n' | grep -v ^d | LC_ALL=C sort | cksum"
LIMIT = 900 if FULL else 250


def make_tree():
    """Files of many sizes, in directories of 50, with links and odd modes."""
    for i in range(FILES):
        folder = f"src/d{i // 1000}/e{i // 50}"
        if i % 50 == 0:
            os.makedirs(folder)
        path = f"{folder}/file-{i}"
        with open(path, "wb") as f:
            f.write(f"{i} ".encode() * (i * 37 % 1500))
        if i % 40 == 0:
            os.symlink(f"file-{i}", path + ".symlink")
            os.link(path, path + ".link")
        if i % 30 == 0:
            os.chmod(path, 0o4711)
    host("tar -C src -cf tree.tar .")


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


make_tree()
os.mkdir("shared")
d = Daemon("shared")
vm = Guest(*fast_qemu(), "--socket", f"{d.socket}:s", "--memory", "2G")
here = os.getcwd()
vm.run(f"mkdir /mnt/s/tar; tar -C /mnt/s/tar -xf {here}/tree.tar", LIMIT)
want = [host(f"cd src; {SUMS}"), host(f"cd src; {SHAPE}")]
same("sums on the host after tar", [host(f"cd shared/tar; {c}") for c in (SUMS, SHAPE)], want)
same("sums in the guest", [vm.run(f"cd /mnt/s/tar; {c}; cd /", LIMIT) for c in (SUMS, SHAPE)],
     want)
vm.run("cp -a /mnt/s/tar /mnt/s/copy", LIMIT)
same("sums on the host after cp", [host(f"cd shared/copy; {c}") for c in (SUMS, SHAPE)], want)
vm.run("diff -r /mnt/s/tar /mnt/s/copy", LIMIT)
_, nodes, handles = d.statistics()
print(f"{nodes} nodes, {handles} handles, {descriptors(d)} descriptors")
same("open handles", handles, 0)
check(nodes > FILES, f"only {nodes} nodes known after {2 * FILES} files")
check(descriptors(d) < 19_000, f"{descriptors(d)} descriptors")
end = time.monotonic() + LIMIT
while nodes >= FILES / 4:  # the guest sends what it forgets later, and may be using some of it still
    check(time.monotonic() < end, f"{nodes} nodes still known after the guest dropped its caches")
    vm.run("echo 3 > /proc/sys/vm/drop_caches", LIMIT)
    _, nodes, _ = d.statistics()
vm.run("rm -r /mnt/s/tar /mnt/s/copy", LIMIT)
same("left on the host", os.listdir("shared"), [])
vm.run("umount /mnt/s")
same("nodes after unmounting", d.statistics()[1] <= 1, True)
same("status", (vm.close(), d.wait()), (0, 0))

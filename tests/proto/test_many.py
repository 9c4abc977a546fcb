# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain timeout=240
"""200,000 files in 4000 directories (fewer without --full), all known at once to a daemon with 1024
descriptors: with file handles, without, and as an ordinary user. Each is served as before, in
little memory."""
import os
import shutil
import struct
import tempfile

from daemon import Daemon
from fuse import ROOT, parse_dirents, read_in
from harness import Skip, at_end, case, check, equal, main
from world import World

FOLDERS, EACH = (4000, 50) if os.environ.get("CAUSEWAY_FULL") else (2000, 12)
DESCRIPTORS = 1024
NODE_BYTES = 256
NOBODY = 65534


def make_tree():
    """On tmpfs, where files can be made fast; the size of a file is its number."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    tree = tempfile.mkdtemp(prefix="cw-many-", dir=memory)
    os.chmod(tree, 0o755)
    for d in range(FOLDERS):
        os.mkdir(f"{tree}/{d}")
        fd = os.open(f"{tree}/{d}", os.O_RDONLY | os.O_DIRECTORY)
        for n in range(EACH):
            os.close(os.open(str(n), os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=fd))
        os.close(fd)
    return tree


def resident(w):
    with open(f"/proc/{w.daemon.pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("RssAnon"))


def walk(w):
    """Looks at everything, as find does; {directory: (its node, nodes of its files)}."""
    known, descriptors = {}, 0
    for d in range(FOLDERS):
        node = w.fs.lookup(str(d)).nodeid
        fh, offset, files = w.fs.opendir(node), 0, {}
        while True:
            data = w.fs.good("READDIRPLUS", node, read_in(fh, offset, 32768), 32784)
            if not data:
                break
            entries = parse_dirents(data, True)
            offset = entries[-1].off
            files.update({int(e.name): e.entry for e in entries if e.name[0] != "."})
        w.fs.release(node, fh, "RELEASEDIR")
        equal(len(files), EACH, f"files in directory {d}")
        known[d] = node, {n: (e.nodeid, e.attr.ino) for n, e in files.items()}
        if d % 100 == 0:
            descriptors = max(descriptors, w.daemon.fds())
    check(descriptors < DESCRIPTORS, descriptors, "descriptors")
    return known


def serves_all(w):
    before = resident(w)
    known = walk(w)
    each = (resident(w) - before) / (FOLDERS * (EACH + 1))
    check(each < NODE_BYTES, f"{each:.0f} bytes for each node")
    for i in range(4000):  # in no order
        d, n = i * 1201 % FOLDERS, i * 7 % EACH
        node, ino = known[d][1][n]
        equal(w.fs.getattr(node).ino, ino, f"inode of {d}/{n}")
        if i % 4 == 0:
            equal(w.fs.lookup(str(n), known[d][0]).nodeid, node, f"node of {d}/{n}")
    check(w.daemon.fds() < DESCRIPTORS * 2 // 3, w.daemon.fds(), "descriptors")
    # What is renamed and unlinked while it is cold.
    node = known[1][0]
    w.fs.good("RENAME", ROOT, struct.pack("<Q", ROOT) + b"1\0moved\0", 16)
    w.fs.good("UNLINK", node, b"1\0", 16)
    equal(w.fs.getattr(known[1][1][1][0]).nlink, 0, "links of what was unlinked")
    equal(w.fs.getattr(known[1][1][2][0]).ino, known[1][1][2][1], "below what was renamed")
    os.rename(f"{w.daemon.share}/moved", f"{w.daemon.share}/1")
    os.close(os.open(f"{w.daemon.share}/1/1", os.O_CREAT | os.O_WRONLY))
    w.daemon.alive()


tree = make_tree()


def world(*options, **more):
    daemon = Daemon("--rlimit-nofile", str(DESCRIPTORS), *options, share=tree, **more)
    return World(daemon=daemon)


@case("with file handles")
def by_handle():
    serves_all(world())


@case("without file handles")
def by_name():
    serves_all(world("--inode-file-handles", "never"))


@case("as an ordinary user")
def ordinary():
    if os.geteuid() != 0:
        raise Skip("needs root, to become another user")
    at_end(os.system, f"chown -R 0:0 {tree}")
    os.system(f"chown -R {NOBODY}:{NOBODY} {tree}")
    serves_all(world(user=NOBODY))


try:
    main()
finally:
    shutil.rmtree(tree, True)

# SPDX-License-Identifier: BSD-2-Clause
"""What a daemon does that runs out of descriptors or memory: errors, and no harm afterwards."""

import errno
import os
import resource
import time

import vu
from daemon import sanitizer
from fuse import ROOT, name, parse_entry, read_in
from harness import Skip, among, at_end, case, check, equal, main
from mem import MIB, Region
from world import World, fill

FULL = (-errno.EMFILE, -errno.ENFILE)


def limit(w, what, soft):
    """Lowers a limit of the daemon; the hard one stays, so that it can be raised again."""
    _, hard = resource.prlimit(w.daemon.pid, what)
    resource.prlimit(w.daemon.pid, what, (hard if soft is None else soft, hard))


@case("out of descriptors: LOOKUP and OPEN say so, FORGET makes room again")
def descriptors():
    w = World("--without", "cold-nodes")
    fill(w.daemon.share, 100)
    directory = w.fs.lookup("dir").nodeid
    file = w.fs.lookup("file").nodeid
    dfh = w.fs.opendir(directory)
    fds = w.daemon.fds()
    limit(w, resource.RLIMIT_NOFILE, fds + 30)
    held, failed = [], 0
    for i in range(100):
        r = w.fs.call("LOOKUP", directory, name(f"entry{i:04}"), 144)
        among(r.error, (0, *FULL), "LOOKUP")
        if r.error:
            failed += 1
        else:
            held.append(parse_entry(r.data).nodeid)
    check(failed, "100 nodes fit into 30 descriptors")
    w.fs.fails(FULL, "OPEN", file, bytes(8))
    w.fs.fails(FULL, "OPENDIR", directory, bytes(8))
    r = w.fs.call("READDIRPLUS", directory, read_in(dfh, 0, 65536), 65552)
    among(r.error, (0, *FULL), "READDIRPLUS")
    w.fs.getattr(file)
    w.fs.getattr(ROOT)
    for node in held:
        w.fs.getattr(node)
        w.fs.forget(node, 2)  # READDIRPLUS may have counted it as well
    w.check()
    limit(w, resource.RLIMIT_NOFILE, None)
    equal(len([d for d in w.fs.readdir(directory, dfh, 0, 65536) if d.name.startswith("entry")]),
          100, "entries listed")
    w.check()


@case("out of descriptors: CREATE leaves no handle and no node behind")
def create():
    w = World()
    fds = w.daemon.fds()
    for room in (0, 1, 2):
        limit(w, resource.RLIMIT_NOFILE, fds + room)
        for i in range(20):
            r = w.fs.call("CREATE", ROOT, bytes([0o102, 0, 0, 0]) + bytes(12) +
                          name(f"new{room}{i}"), 160)
            if r.error == 0:  # there was room for this one: it is closed again
                entry, fh = parse_entry(r.data[:128]), int.from_bytes(r.data[128:136], "little")
                w.fs.release(entry.nodeid, fh)
                w.fs.forget(entry.nodeid)
            else:
                among(r.error, FULL, "CREATE")
        equal(w.daemon.fds(), fds, "descriptors")
    limit(w, resource.RLIMIT_NOFILE, None)
    w.check()


@case("out of descriptors: a message that brings some is refused, the daemon is whole")
def messages():
    w = World()
    limit(w, resource.RLIMIT_NOFILE, w.daemon.fds())
    fd = os.eventfd(0)
    at_end(os.close, fd)
    state = w.fe.verdict(vu.SET_VRING_CALL, vu.u64(5), [fd])
    among(state, ("closed", "refused"), "SET_VRING_CALL without a free descriptor")
    limit(w, resource.RLIMIT_NOFILE, None)
    if state == "refused":
        w.check()


def plain_only():
    if sanitizer():
        raise Skip("sanitizers need address space without bounds")


def address_space(w, more):
    with open(f"/proc/{w.daemon.pid}/statm") as f:
        pages = int(f.read().split()[0])
    limit(w, resource.RLIMIT_AS, pages * resource.getpagesize() + more)


@case("out of memory: a queue that can't have a thread breaks, once, and can be started later")
def threads():
    plain_only()
    w = World()
    q = w.fe.start_queue(3, kick=False)
    address_space(w, 64 << 10)
    before = len(w.daemon.stderr_lines())
    q.kick()
    q.wait_error()
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        w.fs.alive()
    check(len(w.daemon.stderr_lines()) - before < 10, "the log fills up")
    limit(w, resource.RLIMIT_AS, None)
    w.restart(3)
    w.check((1, 3))


@case("out of memory: a region that can't be mapped is refused, the others serve")
def regions():
    plain_only()
    w = World()
    r = Region(0x2_0000_0000, 64 * MIB)
    at_end(r.close)
    address_space(w, MIB)
    state = w.fe.verdict(vu.ADD_MEM_REG, vu.mem_reg(r), [r.fd])
    equal(state, "refused", "a region without address space")
    w.check()
    limit(w, resource.RLIMIT_AS, None)
    w.fe.do(vu.ADD_MEM_REG, vu.mem_reg(r), [r.fd])
    w.check()


main()

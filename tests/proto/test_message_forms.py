# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain full-builds=asan,tsan
"""Every vhost-user message with wrong sizes, flags and descriptors."""

import os
import tempfile

import vu
from fuse import Fs
from harness import add, among, at_end, check, main
from mem import Region
from messages import BAD, HANDLED, eventfd, example, socket_end
from vu import NAMES, NEED_REPLY, VERSION, Closed, u64, vring_state
from world import Site


# wrong sizes


def sizes(name):
    """Payloads that are shorter or longer than the message has, all end the connection."""
    site = Site()
    for stage in ("fresh", "running"):
        fe = site.attempt(stage)
        good = len(example(fe, name)[0])
        fe.close()
        for n in sorted({0, 1, 4, 7, 8, good - 1, good + 1, good + 4, good + 8, 200, 4000}):
            if n < 0 or n == good:
                continue
            fe = site.attempt(stage)
            try:
                payload, fds = example(fe, name)
                payload = (payload + bytes(4096))[:n]
                fe.send(NAMES[name], payload, fds)
                fe.expect_closed(f"after {name} with {n} bytes instead of {good} ({stage})")
            except Closed:
                pass
            fe.close()
        for claim in (0x7FFFFFFF, 0xFFFFFFFF, 1 << 20):
            fe = site.attempt(stage)
            try:
                payload, fds = example(fe, name)
                fe.send(NAMES[name], payload, fds, size=claim)
                fe.expect_closed(f"after {name} that claims {claim} bytes ({stage})")
            except Closed:
                pass
            fe.close()
    site.finish()


for name in HANDLED:
    add(f"wrong sizes: {name}", sizes, name)


# wrong flags


def flags(name):
    """Any version but 1 ends the connection; other bits must at least do no harm."""
    site = Site()
    for value in (0, 2, 3, NEED_REPLY, NEED_REPLY | 2):
        fe = site.attempt("running")
        payload, fds = example(fe, name)
        fe.send(NAMES[name], payload, fds, flags=value)
        fe.expect_closed(f"after {name} with flags {value:#x}")
        fe.close()
    for value in (VERSION | 4, VERSION | 16, VERSION | 0xFFFFFFF0, 0xFFFFFFFD):
        fe = site.attempt("running")
        payload, fds = example(fe, name)
        try:
            fe.send(NAMES[name], payload, fds, flags=value)
            fe.send(vu.GET_FEATURES)
            fe.recv()
        except Closed:
            pass
        fe.close()
    site.finish()


for name in HANDLED:
    add(f"wrong flags: {name}", flags, name)


# wrong descriptors


def descriptors(name):
    """More descriptors than the message takes, or fewer: nothing leaks, nothing is mistaken."""
    site = Site()
    right = HANDLED[name][1]
    for stage in ("fresh", "running"):
        for n in (0, 1, 2, 4, 8, 9, 33, 64, 253):
            if n == right:
                continue
            fe = site.attempt(stage)
            payload, fds = example(fe, name)
            fds = (fds + [eventfd() for _ in range(n)])[:n]
            must_fail = right and n < right
            try:
                fe.send(NAMES[name], payload, fds, need_reply=True)
                _, _, data = fe.recv()
                check(not (must_fail and data == bytes(8)),
                      f"{name} with {n} descriptors instead of {right} was accepted")
            except Closed:
                pass
            fe.close()
    site.finish()


for name in HANDLED:
    add(f"wrong descriptors: {name}", descriptors, name)


def odd_files():
    """Descriptors that are not eventfds or guest memory, by what they are."""
    tmp = tempfile.TemporaryFile()
    tmp.write(b"x" * 65536)
    tmp.flush()
    at_end(tmp.close)
    r, wr = os.pipe()
    r2, wr2 = os.pipe()
    os.close(r2)
    sock = socket_end()
    zero, directory, path = (os.open("/dev/zero", os.O_RDWR), os.open("/", os.O_RDONLY),
                             os.open("/", os.O_PATH))
    full = os.eventfd(0)
    os.eventfd_write(full, (1 << 64) - 2)
    read_only = os.open("/proc/self/status", os.O_RDONLY)
    for fd in (r, wr, wr2, zero, directory, path, full, read_only):
        at_end(os.close, fd)
    return {"regular file": tmp.fileno(), "pipe to read": r, "pipe to write": wr,
            "pipe without a reader": wr2, "socket": sock, "/dev/zero": zero,
            "directory": directory, "O_PATH": path, "full eventfd that blocks": full,
            "/proc file": read_only}


ODD = ("regular file", "pipe to read", "pipe to write", "pipe without a reader", "socket",
       "/dev/zero", "directory", "O_PATH", "full eventfd that blocks", "/proc file")


def odd_vring(name, kind):
    """A strange descriptor in KICK, CALL or ERR: refused, or at least only this queue suffers."""
    site = Site()
    fe = site.attempt("memory")
    fd = odd_files()[kind]
    fe.start_queue(0)
    fe.start_queue(2)
    fs = Fs(fe, 2)
    fs.init()
    q = fe.add_queue(1)
    state = "ok"
    for request, payload, fds in (
            (vu.SET_VRING_NUM, vring_state(1, 128), []), (vu.SET_VRING_BASE, vring_state(1, 0), []),
            ("addr", None, None), (vu.SET_VRING_ERR, u64(1), [q.err_fd]),
            (vu.SET_VRING_CALL, u64(1), [q.call_fd]), (vu.SET_VRING_KICK, u64(1), [q.kick_fd]),
            (vu.SET_VRING_ENABLE, vring_state(1, 1), [])):
        if request == "addr":
            fe.set_addr(q)
            continue
        forged = request == NAMES[name]
        state = fe.verdict(request, payload, [fd] if forged else fds)
        among(state, ("ok",) + (BAD if forged else ()), vu.NUMBERS[request])
        if state == "closed":
            break
    if state != "closed":
        q.kick()
        token = fs.start("GETATTR", 1, bytes(16), 120, queue=1)
        if name == "SET_VRING_ERR":  # break the queue, so that the descriptor is used
            q.desc(5, 0xDEAD_0000_0000, 64, 0)
            q.put_avail(5)
            q.set_avail_idx()
            q.kick()
        fs.alive(2)
        fs.alive(2)
        fe.answers()
        fe.stop_queue(1)  # must not wait for a call that nobody takes
        fs.alive(2)
        del token
    fe.close()
    site.finish()


for name in ("SET_VRING_KICK", "SET_VRING_CALL", "SET_VRING_ERR"):
    for kind in ODD:
        add(f"odd descriptor: {name} with {kind}", odd_vring, name, kind)


def odd_memory(name, kind):
    """Guest memory that is no memory: never accepted and then believed."""
    site = Site()
    fe = site.attempt("negotiated")
    fd = odd_files()[kind]
    region = Region(0x4000_0000, 1 << 20)
    at_end(region.close)
    if name == "ADD_MEM_REG":
        fe.set_memory()
        state = fe.verdict(vu.ADD_MEM_REG, vu.mem_reg(region), [fd])
    else:
        state = fe.verdict(vu.SET_MEM_TABLE, vu.mem_table([region]), [fd])
    among(state, BAD, f"{name} with {kind}")
    fe.close()
    site.finish()


for name in ("SET_MEM_TABLE", "ADD_MEM_REG"):
    for kind in ODD:
        if kind != "/dev/zero":  # can be mapped, like any memory device
            add(f"odd descriptor: {name} with {kind}", odd_memory, name, kind)


def odd_backend(kind):
    site = Site()
    fe = site.attempt("running")
    among(fe.verdict(vu.SET_BACKEND_REQ_FD, b"", [odd_files()[kind]]), ("ok",) + BAD)
    fe.close()
    site.finish()


for kind in ODD:
    add(f"odd descriptor: SET_BACKEND_REQ_FD with {kind}", odd_backend, kind)


main()

# SPDX-License-Identifier: BSD-2-Clause
"""From connect to exit: resets, reconnects, disconnects at bad moments, threads, signals."""

import os
import signal
import socket
import struct
import subprocess
import time

import vu
from daemon import Daemon, binary, environment, make_share, without_sandbox
from fuse import INIT_FLAGS, ROOT, Fs, init_in, read_in
from harness import HANG, add, at_end, case, check, equal, main, tempdir, until
from vu import Closed, Conn, Frontend, u64
from world import Site, World, big_read


# resets of rings


@case("GET_VRING_BASE and a start from that base, rings kept")
def stop_and_go():
    w = World(size=64)
    q = w.fe.queues[1]
    total = 0
    for turn in range(20):
        for _ in range(turn * 7 % 40 + 1):
            w.fs.getattr()
            total += 1
        base = w.fe.stop_queue(1)
        equal(base, q.position(), "base")
        equal(w.fe.stop_queue(1), base, "base of a queue that is stopped already")
        w.fe.start_queue(1, base=base, ring=q)
    w.check()


@case("requests queued while a queue is stopped are served when it starts, without a kick")
def queued():
    w = World()
    q = w.fe.queues[1]
    base = w.fe.stop_queue(1)
    tokens = [w.fs.start("GETATTR", ROOT, bytes(16), 120) for _ in range(5)]
    while True:
        try:
            os.eventfd_read(q.kick_fd)
        except BlockingIOError:
            break
    w.fe.start_queue(1, base=base, ring=q, kick=False)
    for t in tokens:
        equal(w.fs.finish(t).error, 0)
    w.check()


@case("a queue is stopped while requests are in flight: none is lost, none is done twice")
def stop_in_flight():
    w = World(requests=2, size=256)
    q = w.fe.queues[1]
    node = w.fs.lookup("big").nodeid
    fh = w.fs.open(node)
    for _ in range(10):
        tokens = [big_read(w.fs, node, fh) for _ in range(24)]
        base = w.fe.stop_queue(1)
        equal(q.used_base(), base, "used index of a stopped queue against its base")
        time_stopped = q.used_idx()
        w.check([2])
        equal(q.used_idx(), time_stopped, "a stopped queue moved")
        w.fe.start_queue(1, base=base, ring=q, kick=False)
        for t in tokens:
            equal(q.wait(t[1]), (1 << 20) + 16, "used length")
    w.check([1, 2])


@case("a device reset keeps nodes and handles until INIT")
def reset_keeps():
    w = World()
    node = w.fs.lookup("file").nodeid
    fh = w.fs.open(node)
    for i in (0, 1):
        w.restart(i)
    equal(w.fs.read(node, fh, 0, 5), b"hello")
    for i in (0, 1):
        w.restart(i)
    w.fs.init()
    w.fs.stale(node)
    w.check()


@case("RESET_OWNER, then everything anew on the same connection")
def reset_owner():
    w = World()
    w.fe.do(vu.RESET_OWNER)
    w.fe.protocol = 0
    w.fe.negotiate().set_memory()
    for i in (0, 1):
        q = w.fe.queues[i]
        q.reset()
        w.fe.start_queue(i, ring=q)
    w.fs.init()
    w.check()


@case("guest reboot: queues stopped, memory set again, INIT without DESTROY")
def reboot():
    w = World(requests=3)
    for _ in range(5):
        node = w.fs.lookup("file").nodeid
        w.fs.open(node)
        for i in range(4):
            w.fe.stop_queue(i)
        w.fe.send(vu.SET_FEATURES, u64(w.fe.features))
        w.fe.set_memory()
        for i in range(4):
            q = w.fe.queues[i]
            q.reset()
            w.fe.start_queue(i, ring=q)
        w.fs.init()
        w.fs.stale(node)
    w.check((1, 2, 3))


# ends of connections


@case("disconnect: the daemon ends, status 0")
def plain_end():
    w = World()
    w.close()
    w.daemon.wait((0,))


@case("disconnect with requests in flight")
def end_in_flight():
    for _ in range(5):
        w = World(requests=4, size=256)
        node = w.fs.lookup("big").nodeid
        fh = w.fs.open(node)
        for i in range(80):
            big_read(w.fs, node, fh, 1 + i % 4)
        w.close()
        w.daemon.wait((0,))


@case("disconnect without DESTROY: with --keep-listening nothing stays open")
def nothing_stays():
    site = Site()
    for _ in range(5):
        fe = site.attempt("running")
        fs = Fs(fe)
        for _ in range(30):
            fs.opendir(fs.lookup("dir").nodeid)
            fs.open(fs.lookup("file").nodeid)
        for _ in range(10):
            fs.start("STATFS", ROOT, b"", 96)
        fe.close()
    site.finish()


@case("--keep-listening: nodes and handles of the last front-end are unknown to the next")
def strangers():
    site = Site()
    fe = site.attempt("running")
    fs = Fs(fe)
    node = fs.lookup("file").nodeid
    fh = fs.open(node)
    fe.close()
    fe = site.attempt("running")
    fs = Fs(fe)
    fs.stale(node)
    fresh = fs.lookup("file").nodeid
    fs.fails(-9, "READ", fresh, read_in(fh, 0, 10))
    fe.close()
    site.finish()


@case("--keep-listening: before INIT the next front-end gets -EIO")
def fresh_session():
    site = Site()
    site.attempt("running").close()
    fe = Frontend(site.daemon.connect()).up()
    fs = Fs(fe)
    fs.fails(-5, "GETATTR", ROOT, bytes(16))
    fs.init()
    fs.alive()
    fe.close()
    site.finish()


@case("--keep-listening: SIGTERM ends it, idle, connected and under load")
def sigterm():
    for stage in (None, "fresh", "negotiated", "running"):
        d = Daemon("--keep-listening", listen=True)
        w = World(daemon=d)
        w.close()
        if stage:
            fe = Frontend(d.connect())
            if stage != "fresh":
                fe.negotiate()
            if stage == "running":
                fe.set_memory().start_queue(1)
                fs = Fs(fe)
                fs.init()
                node = fs.lookup("big").nodeid
                fh = fs.open(node)
                for _ in range(40):
                    big_read(fs, node, fh)
        d.terminate()


@case("SIGTERM without --keep-listening, SIGINT; SIGPIPE is nothing")
def signals():
    for number in (signal.SIGTERM, signal.SIGINT):
        w = World()
        w.daemon.proc.send_signal(number)
        w.daemon.wait((0,), f"after signal {number}")
    w = World()
    w.daemon.proc.send_signal(signal.SIGPIPE)
    w.check()


def poor_start(what, data, listen):
    """A front-end that says little or nonsense, then leaves."""
    options = ("--keep-listening",) if listen else ()
    d = Daemon(*options, listen=listen)
    c = Conn(d.connect())
    if data:
        try:
            c.send_bytes(data)
        except Closed:
            pass
    c.close()
    if listen:
        World(daemon=d).check()
    else:
        d.wait((0, 1))


HEADER = struct.pack("<III", vu.SET_FEATURES, vu.VERSION, 8)
for text, sent in (("nothing", b""), ("one byte", b"\x01"), ("half a header", HEADER[:6]),
                   ("a header without its payload", HEADER), ("half a payload", HEADER + b"abcd"),
                   ("zeros", bytes(64)), ("ones", b"\xff" * 64),
                 ("text", b"GET / HTTP/1.1\r\n\r\n")):
    for keep in (False, True):
        add(f"a front-end that sends {text} and leaves{', others may come' if keep else ''}",
            poor_start, text, sent, keep)


@case("half a header and then silence: other work goes on, SIGTERM ends it")
def silence():
    w = World()
    w.fe.send_bytes(HEADER[:7])
    w.fs.alive()
    w.fs.alive()
    w.daemon.terminate()


@case("a front-end that shuts down its sending side only")
def half_closed():
    w = World()
    w.fe.sock.shutdown(socket.SHUT_WR)
    w.daemon.wait((0,))


@case("a second front-end waits its turn")
def second():
    d = Daemon("--keep-listening", listen=True)
    first = World(daemon=d)
    other = Conn(d.connect())
    other.send(vu.GET_FEATURES)
    first.check()
    first.close()
    check(struct.unpack("<Q", other.recv()[2])[0] & vu.F_VERSION_1, "features")


@case("a listening socket without --keep-listening serves one front-end and ends")
def once():
    d = Daemon(listen=True)
    w = World(daemon=d)
    w.check()
    w.close()
    d.wait((0,))


def wait_socket(d, path):
    """Connects as soon as the daemon listens at path."""
    end = time.monotonic() + HANG
    while True:
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            s.connect(path)
            return s
        except (FileNotFoundError, ConnectionRefusedError):
            s.close()
            check(d.poll() is None, "the daemon ended with status", d.returncode)
            check(time.monotonic() < end, "hang: no socket at", path)
            time.sleep(0.005)


@case("--socket-path: made at the start, taken from a dead predecessor, removed at the end")
def socket_path():
    share, path = make_share(), os.path.join(tempdir(), "sock")
    for turn in range(3):
        if turn == 1:  # what a killed daemon leaves behind
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            s.bind(path)
            s.close()
        p = subprocess.Popen([binary(), *without_sandbox(), "--shared-dir", share, "--socket-path",
                              path],
                             stdin=subprocess.DEVNULL, env=environment(),
                             stderr=subprocess.DEVNULL)
        at_end(lambda p=p: p.poll() is None and (p.kill(), p.wait()))
        fe = Frontend(wait_socket(p, path)).up()
        fs = Fs(fe)
        fs.init()
        fs.alive()
        fe.close()
        equal(p.wait(HANG), 0, "status")
        check(not os.path.exists(path), "the socket is still there")


# threads


@case("only queues that are kicked get a thread")
def threads():
    w = World(requests=0, init=False, size=16)
    w.fs.forget(0xDEAD)  # the high-priority queue has its thread now
    few = w.daemon.tasks()
    for i in range(1, 65):
        w.fe.start_queue(i, 16, kick=False)
    equal(w.daemon.tasks(), few, "threads before any kick")
    w.fs.init()
    for i in range(1, 65):
        w.fe.queues[i].kick()
        w.fs.alive(i)
    many = w.daemon.tasks()
    check(many <= few + 64 + 1, "threads", many)
    check(many >= few + 60, "one thread for each queue that is used, got", many)
    for i in range(1, 65):
        w.fe.stop_queue(i)
    until(f"{w.daemon.tasks()} threads after all queues stopped, were {few}",
          lambda: w.daemon.tasks() <= few)
    w.fe.answers()


@case("all 64 request queues at once")
def all_at_once():
    w = World(requests=64, size=16)
    for _ in range(10):
        tokens = [w.fs.start("GETATTR", ROOT, bytes(16), 120, queue=i) for i in range(1, 65)]
        for t in tokens:
            equal(w.fs.finish(t).error, 0)
    w.check((1, 32, 64))


@case("an idle daemon sleeps")
def idle():
    w = World(requests=4)
    for i in range(1, 5):
        w.fs.alive(i)

    def ticks():
        with open(f"/proc/{w.daemon.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    before, start = ticks(), time.monotonic()
    w.fe.sock.settimeout(1)
    try:
        w.fe.sock.recv(1)  # nothing comes: this is a second of idleness
    except TimeoutError:
        pass
    spent = (ticks() - before) / os.sysconf("SC_CLK_TCK")
    check(spent <= 0.1 * (time.monotonic() - start), f"{spent} s of CPU in a second of idleness")
    w.fe.sock.settimeout(None)
    w.check((1, 2, 3, 4))


@case("INIT on one queue while others are busy")
def init_under_load():
    w = World(requests=3, size=256)
    for _ in range(30):
        node = w.fs.lookup("file").nodeid
        tokens = [w.fs.start("GETATTR", node, bytes(16), 120, queue=2 + i % 2) for i in range(40)]
        tokens += [w.fs.start("OPEN", node, bytes(8), 32, queue=2 + i % 2) for i in range(40)]
        token = w.fs.start("INIT", 0, init_in(flags=INIT_FLAGS), 80, queue=1)
        for t in tokens:
            check(w.fs.finish(t).error in (0, -116, -5), "GETATTR or OPEN around INIT")
        equal(w.fs.finish(token).error, 0, "INIT")
        w.fs.stale(node)
    w.check((1, 2, 3))


if __name__ == "__main__":
    main()

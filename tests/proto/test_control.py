# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain,asan,tsan
"""The control socket: what it says is in the format of Prometheus and agrees with what was asked of
the daemon; who may ask; clients that misbehave; each sandbox."""

import errno
import os
import re
import socket
import stat
import struct
import threading

from daemon import Daemon, make_share, run_options, sanitizer
from disks import disk
from fuse import ROOT
from harness import HANG, Skip, at_end, case, check, equal, main, tempdir, until
from metrics import LAST, ask, drain, parse, value
from vu import F_ALL, F_PACKED
from world import World

NOBODY = 65534
CLIENTS, REQUEST = 8, 4096  # as src/daemon/control.h


def control(directory=None):
    return os.path.join(directory or tempdir(), "control")


def listens(path):
    """Whether a daemon is there, which has made its socket a moment before it listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        return s.connect_ex(path) == 0


def started(*options, **kw):
    path = control()
    return World("--control-path", path, *options, **kw), path


def grown(path, name, want, **labels):
    """Waits for a value: what a queue's thread counts it may count after its answer is there."""
    until(f"{name} {labels} is {want}",
          lambda: value(parse(ask(path)), name, **labels) == want)


@case("numbers agree with what was asked, by operation and by queue")
def numbers():
    w, path = started(requests=2)
    before = parse(ask(path))
    for _ in range(100):
        w.fs.getattr()
    for _ in range(17):
        w.fs.fails(-errno.ENOENT, "UNLINK", ROOT, b"missing\0", 16)
    node = w.fs.lookup("file").nodeid
    fh = w.fs.open(node, 2)
    w.fs.read(node, fh, 0, 5)
    w.fs.write(node, fh, 0, b"hello")
    w.fs.good("FSYNC", node, struct.pack("<QII", fh, 0, 0), 16)
    w.fs.fails(-errno.ENOSYS, 63, ROOT, b"", 16)
    w.fs.good("GETATTR", ROOT, b"\0" * 16, 120, queue=2)
    grown(path, "requests_total", 1, op="OTHER")
    grown(path, "pool_jobs_total", 1)
    after = parse(ask(path))

    def more(name, **labels):
        return value(after, name, **labels) - value(before, name, **labels)

    for op, n, errors in (("UNLINK", 17, 17), ("OPEN", 1, 0), ("READ", 1, 0), ("WRITE", 1, 0),
                          ("FSYNC", 1, 0), ("OTHER", 1, 1)):
        equal(more("requests_total", op=op), n, f"{op}: requests")
        equal(more("request_errors_total", op=op), errors, f"{op}: errors")
    check(more("requests_total", op="GETATTR") >= 100, "GETATTR")
    equal(more("request_errors_total", op="GETATTR"), 0, "GETATTR: errors")
    equal(more("file_bytes_total", direction="read"), 5, "bytes read")
    equal(more("file_bytes_total", direction="written"), 5, "bytes written")
    # The first of each operation has its time taken, and one in 16; those of the pool all.
    equal(value(after, "request_seconds_count", op="UNLINK"), 2, "UNLINK: times")
    equal(value(after, "request_seconds_count", op="FSYNC"), 1, "FSYNC: times")
    check(value(after, "request_seconds_sum", op="FSYNC") > 0, "FSYNC: no time")
    equal(value(after, "handles"), 1, "handles")
    equal(value(after, "nodes", descriptor="kept"), 2, "nodes")
    equal(value(after, "descriptors"), 3, "descriptors")
    by_op = sum(v for (n, _), v in after.items() if n == "causeway_requests_total")
    by_queue = sum(v for (n, _), v in after.items() if n == "causeway_queue_requests_total")
    equal(by_op, by_queue, "requests by operation and by queue")
    equal(value(after, "queue_batch_sum", queue="1"),
          value(after, "queue_requests_total", queue="1"), "answers of queue 1")
    w.check()
    w.close()


@case("an FSYNC where there is no disk is left to no other thread, and one where there is one is")
def syncs():
    if os.getuid():
        raise Skip("may not mount here")
    for kind, jobs in (("tmpfs", 0), ("ext4", 1)):
        share, _ = disk(kind)
        path = control()
        w = World(daemon=Daemon("--control-path", path, share=share))
        made, fh = w.fs.create("new")
        w.fs.write(made.nodeid, fh, 0, b"data")
        w.fs.good("FSYNC", made.nodeid, struct.pack("<QII", fh, 0, 0), 16)
        equal(value(parse(ask(path)), "pool_jobs_total"), jobs, f"jobs of the pool on {kind}")
        w.daemon.alive()


@case("chains that wait in a ring are counted, of both formats")
def depth():
    for features in (F_ALL & ~F_PACKED, F_ALL | F_PACKED):
        w, path = started("--poll", "0", features=features)
        q = w.fe.queues[1]

        def ten():
            tokens = [w.fs.start("GETATTR", ROOT, b"\0" * 16, 120, publish=False)
                      for _ in range(10)]
            q.set_avail_idx()
            q.kick()
            for token in tokens:
                equal(w.fs.finish(token).error, 0, "GETATTR")
            return value(parse(ask(path)), "queue_depth_max", queue="1")

        # A thread that is still busy with one before may find ten behind it, or not look at all.
        until("the most that waited behind another are 9 or 10", lambda: ten() in (9, 10))
        grown(path, "queue_depth", 0, queue="1")
        w.check()
        w.close()


@case("as HTTP: status, length, and what there is not")
def http():
    w, path = started()
    head, body = ask(path, b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n").split(
        "\r\n\r\n", 1)
    check(head.startswith("HTTP/1.1 200 OK\r\n"), head)
    equal(int(re.search(r"Content-Length: (\d+)", head).group(1)), len(body), "length")
    parse(body)
    for request, status in ((b"GET / HTTP/1.1\r\n\r\n", 404), (b"GET /metricsx HTTP/1.0\n\n", 404),
                            (b"POST /metrics HTTP/1.1\r\n\r\n", 405)):
        check(ask(path, request).startswith(f"HTTP/1.1 {status} "), request)
    check(ask(path, b"GET /metrics HTTP/1.1\r\n" + b"x" * REQUEST).startswith("HTTP/1.1 431 "),
          "a head that never ends")
    w.check()
    w.close()


@case("requests that are none get a line that says so")
def unknown():
    w, path = started()
    for request in (b"\n", b"metric\n", b"metricss\n", b" metrics\n", b"\0\0\0\n", b"GET /metrics\n"):
        equal(ask(path, request), "# error: unknown request; there is: metrics\n", request)
    equal(ask(path, b"x" * REQUEST), "# error: the request is too long\n", "an endless line")
    parse(ask(path, b"metrics\r\n"))
    w.check()
    w.close()


@case("a client that says half of it, or stops reading, holds up nobody; nor does one that goes")
def slow():
    w, path = started()
    held = []
    for part in (b"", b"metr", b"GET /metrics HTTP/1.1\r\n"):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.connect(path)
        s.sendall(part)
        held.append(s)
    deaf = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    deaf.connect(path)
    deaf.sendall(b"metrics\n")
    parse(ask(path))
    # One that has said all it will say is answered.
    held[1].sendall(b"ics\n")
    held[1].shutdown(socket.SHUT_WR)
    held[1].settimeout(HANG)
    parse(drain(held[1]))
    for s in held + [deaf]:
        s.close()
    parse(ask(path))
    w.check()
    w.close()


@case("beyond so many clients others wait, and the first are sent away after a time")
def many():
    w, path = started()
    held = []
    for _ in range(CLIENTS):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(HANG)
        s.connect(path)
        held.append(s)
    # It is answered when one of them has had its time.
    parse(ask(path))
    until("no client was sent away", lambda: any(s.recv(1) == b"" for s in held))
    for s in held:
        s.close()
    w.check()
    w.close()


@case("docs/top.md lists each family that a daemon tells, and no other")
def documented():
    path = control()
    w = World("--control-path", path, "--dax-window", "64M", "--version-table", "memfd")
    w.fs.getattr()
    text = ask(path)
    parse(text)
    with open(os.path.join(os.environ["CAUSEWAY_SRC"], "docs", "top.md"), encoding="utf-8") as f:
        rows = [line.split("|")[1] for line in f if line.startswith("| `causeway_")]
    listed = sorted(name for row in rows for name in re.findall(r"`(causeway_\w+)`", row))
    equal(listed, sorted(re.findall(r"^# TYPE (\w+) ", text, re.M)), "families")
    w.check()
    w.close()


@case("many clients at once, while queues work and front-ends come and go")
def crowd():
    path = control()
    daemon = Daemon("--control-path", path, "--keep-listening", listen=True)
    until("no control socket", lambda: listens(path))
    stop = threading.Event()
    wrong = []

    def scrape():
        while not stop.is_set():
            try:
                check(ask(path).endswith(LAST), "a text is cut")
            except Exception as e:  # pylint: disable=broad-except
                wrong.append(e)
                return

    threads = [threading.Thread(target=scrape) for _ in range(CLIENTS + 2)]
    for t in threads:
        t.start()
    at_end(stop.set)
    for _ in range(3):
        w = World(daemon=daemon, requests=2)
        for _ in range(20):
            w.fs.alive(1)
            w.fs.alive(2)
        w.close()
    stop.set()
    for t in threads:
        t.join()
    check(not wrong, wrong[:1])
    parse(ask(path))
    daemon.alive()


def mode_of(path):
    st = os.lstat(path)
    return stat.S_IMODE(st.st_mode), stat.S_ISSOCK(st.st_mode)


@case("in each sandbox, with Landlock and without; the socket goes at the end")
def sandboxes():
    if os.getuid():
        raise Skip("needs root")
    if sanitizer():
        raise Skip("a sanitizer works in no sandbox")
    for how in ("namespace", "chroot", "none"):
        for handles in ("prefer", "never"):  # the second with Landlock
            path = control()
            daemon = Daemon("--sandbox", how, "--inode-file-handles", handles, "--control-path",
                            path)
            w = World(daemon=daemon)
            equal(mode_of(path), (0o700, True), f"{how}: the socket")
            parse(ask(path))
            w.check()
            w.close()
            daemon.wait((0,))
            check(not os.path.lexists(path), f"{how}, {handles}: the socket is still there")


@case("others than the daemon's user and root are refused, even where the socket lets them in")
def peers():
    if os.getuid():
        raise Skip("needs root")
    folder = os.path.dirname(make_share(public=True))
    path = control(folder)
    w = World("--control-path", path)
    os.chmod(path, 0o777)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        try:
            text = ask(path).encode()
        except OSError as e:
            text = e.strerror.encode()
        os.write(write, text[:4096])
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as f:
        text = f.read().decode()
    os.waitpid(child, 0)
    equal(text, "# error: only the daemon's user and root may ask\n", "what a stranger gets")
    parse(ask(path))
    w.check()
    w.close()


@case("a path that cannot be had is named; a socket that was left behind is replaced")
def paths():
    share = make_share()

    def refused(path, *words):
        code, _, err = run_options("--shared-dir", share, "--socket-path", control(),
                                   "--control-path", path)
        equal(code, 2, f"status with {path[:40]}")
        for word in ("--control-path", *words):
            check(word in err, f"{word!r} is not in: {err}")

    refused("", "empty")
    refused("/nowhere/at/all", "/nowhere/at/all", os.strerror(errno.ENOENT))
    refused("/" + "x" * 200, "longer than")
    taken = control()
    other = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    other.bind(taken)
    other.listen()
    refused(taken, "in use")
    other.close()
    w = World("--control-path", taken)
    parse(ask(taken))
    w.close()


@case("... and one that could not be made leaves no other one behind")
def leaves_none():
    socket_path = control()
    code, _, _ = run_options("--shared-dir", make_share(), "--socket-path", socket_path,
                             "--control-path", "/nowhere/at/all")
    equal(code, 2, "status")
    check(not os.path.lexists(socket_path), "the front-end's socket is still there")


main()

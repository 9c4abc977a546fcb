# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain,asan
"""causeway top: what it shows agrees with what was asked of daemons; on a terminal; what is no
daemon, or lies."""

import errno
import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

from fuse import ROOT
from harness import HANG, at_end, check, case, equal, main, tempdir, until
from world import World

TOOL = os.environ["CAUSEWAY"]
ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
WHOLE = "causeway_uptime_seconds 1.5\ncauseway_requests_total{op=\"GETATTR\"} 8\n# EOF\n"


def started(*options):
    path = os.path.join(tempdir(), "control")
    return World("--control-path", path, *options), path


def top(*args, status=0):
    done = subprocess.run([TOOL, "top", *args], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=2 * HANG,
                          check=False)
    equal(done.returncode, status, f"status of {args}: {done.stderr}")
    return done.stdout, done.stderr


def rows(text, head):
    """{first word: the others} of the lines below a head, until an empty one."""
    lines = iter(text.splitlines())
    check(any(line.startswith(head + " ") for line in lines), f"no {head} in {text}")
    found = {}
    for line in lines:
        if not line:
            break
        first, *others = re.split(r"\s{2,}", line)
        found[first] = others
    return found


def number(text):
    """What a number for people stands for, to three digits."""
    m = re.fullmatch(r"(\d+(?:\.\d+)?)([kMG]?)(?:/s)?", text)
    check(m, f"no number: {text!r}")
    return float(m.group(1)) * 1000 ** " kMG".index(m.group(2) or " ")


def counted(path, op):
    out, _ = top("--metrics", path)
    m = re.search(rf'^causeway_requests_total\{{op="{op}"\}} (\d+)$', out, re.M)
    return int(m.group(1)) if m else 0


@case("the first view is about all since the start: operations, queues, nodes")
def since_start():
    w, path = started("--without", "cold-nodes")
    for _ in range(200):
        w.fs.getattr()
    for _ in range(50):
        w.fs.fails(-errno.ENOENT, "UNLINK", ROOT, b"missing\0", 16)
    node = w.fs.lookup("file").nodeid
    w.fs.open(node)
    until("all are counted", lambda: counted(path, "OPEN") == 1)
    out, _ = top("--batch", "-n", "1", path)
    check(re.match(r"causewayd \S+, .*share as proto, up 0:0\d:\d\d, " + re.escape(path), out), out)
    up = float(re.search(r"uptime_seconds (\d\S+)", top("-m", path)[0]).group(1))
    ops = rows(out, "OPERATION")
    equal(sorted(ops), ["GETATTR", "INIT", "LOOKUP", "OPEN", "UNLINK"], "operations")
    # What it was told by is no later than what is asked now.
    check(number(ops["GETATTR"][0]) >= 199 / up, f"GETATTR {ops['GETATTR']}, up {up}")
    check(0 < number(ops["UNLINK"][1]) == number(ops["UNLINK"][0]), f"errors {ops['UNLINK']}")
    equal(number(ops["GETATTR"][1]), 0, "errors of GETATTR")
    for op, cells in ops.items():
        check(all(re.fullmatch(r"\d.* [nµm]?s", c) for c in cells[3:]), f"times of {op}: {cells}")
    check("1" in rows(out, "QUEUE"), "no line of queue 1")
    check("nodes 2 with a descriptor, 0 without" in out, out)
    check("\nopen 1, 0.0 % by what was kept; pins 0, used 0.00/s; descriptors 3 of " in out, out)
    w.check()
    w.close()


@case("names, a window and a table have their lines, where there are any")
def lines():
    w, path = started("--version-table", "memfd", "--version-slots", "4096", "--dax-window", "64M")
    for name in ("file", "dir", "file"):
        w.fs.lookup(name)
    until("all are counted", lambda: counted(path, "LOOKUP") == 3)
    out, _ = top("-b", "-n1", path)
    m = re.search("^names ([0-9.]+)/s known, ([0-9.]+)/s looked at, ([0-9.]+)/s opened; "
                  "nodes opened again 0.00/s, by handle -$", out, re.M)
    check(m, out)
    known, looked, opened = map(float, m.groups())
    check(known > 0 and looked + opened > 0, f"two names, one of them twice: {m.group(0)}")
    check(re.search("^window 0 claims, 0 pieces, 0 B mapped, 0 B copied; maps 0.00/s, refused 0.00/s$",
                    out, re.M), out)
    check(re.search("^table 4.10k words, good, (not )?watched; looks ", out, re.M), out)
    w.close()
    w, path = started()
    out, _ = top("-b", "-n1", path)
    check("\nwindow " not in out and "\ntable " not in out, out)
    w.close()


@case("later views are about the time since the one before")
def since_before():
    w, path = started()
    for _ in range(100):
        w.fs.getattr()
    until("all are counted", lambda: counted(path, "GETATTR") >= 100)
    out, _ = top("-b", "-n2", "-d0.1", path)
    first, second = re.split(r"\n\n(?=causewayd )", out)
    check("GETATTR" in rows(first, "OPERATION"), first)
    equal(rows(second, "OPERATION"), {}, "operations of the second view")
    equal(number(rows(second, "QUEUE")["1"][0]), 0, "requests of queue 1")
    w.check()
    w.close()


@case("several daemons, below each other and as one; what one of them says is what they all say")
def several():
    worlds = [started("--without", "cold-nodes") for _ in range(2)]
    paths = [path for _, path in worlds]
    for (w, path), n in zip(worlds, (24, 8)):
        w.fs.lookup("file")
        for _ in range(n):
            w.fs.getattr()
        until("all are counted", lambda p=path, n=n: counted(p, "GETATTR") >= n)
    out, _ = top("-n1", *paths)
    equal(len(re.findall("^causewayd ", out, re.M)), 2, "daemons")
    out, _ = top("-n1", "--sum", *paths)
    check(out.startswith("2 daemons, together\n"), out)
    check("nodes 4 with a descriptor" in out, out)
    equal(len(re.findall("^GETATTR ", out, re.M)), 1, "lines of an operation")
    out, _ = top("--metrics", *paths)
    equal(out.count("# EOF\n"), 2, "texts")
    for w, _ in worlds:
        w.check()
        w.close()


class Terminal:
    """A causeway top on a terminal of ours."""

    def __init__(self, *args, size=(24, 80)):
        self.master, slave = pty.openpty()
        at_end(os.close, self.master)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.proc = subprocess.Popen([TOOL, "top", *args], stdin=slave, stdout=slave, stderr=slave,
                                     start_new_session=True)
        at_end(self.end)
        self.slave = slave
        self.seen = b""

    def end(self):
        self.proc.kill()
        self.proc.wait()
        os.close(self.slave)

    def read_until(self, what, at=0):
        """All that was written up to these bytes, which come after `at`."""
        end = time.monotonic() + HANG
        while self.seen.find(what, at) < 0:
            left = end - time.monotonic()
            check(left > 0 and select.select([self.master], [], [], left)[0],
                  f"no {what!r} in {self.seen[-2000:]!r}")
            self.seen += os.read(self.master, 65536)
        return self.seen.find(what, at) + len(what)

    def ended(self, status):
        equal(self.proc.wait(HANG), status, "status")
        self.read_until(LEAVE)
        equal(termios.tcgetattr(self.slave), self.before, "the terminal's settings")


@case("on a terminal: redrawn until q, or a signal; then it is as it was before")
def terminal():
    w, path = started()
    w.fs.getattr()
    for way in ("q", signal.SIGTERM, signal.SIGINT):
        t = Terminal("-d", "0.1", path)
        at = t.read_until(b"OPERATION", t.read_until(ENTER))
        t.read_until(b"OPERATION", at)
        check(b"\x1b[H" in t.seen, "it is not redrawn")
        if way == "q":
            os.write(t.master, b"xq")
        else:
            t.proc.send_signal(way)
        t.ended(0)
    w.check()
    w.close()


@case("... it keeps to the window's size, also when that changes, and says last what went wrong")
def window():
    w, path = started()
    w.fs.getattr()
    t = Terminal("-d", "3600", path, size=(5, 20))
    end = t.read_until(b"\x1b[J")
    lines = re.split(rb"\x1b\[K\r+\n", t.seen[t.seen.find(b"\x1b[H") + 3:end])
    equal(len(lines), 5, "rows and what follows")
    check(all(len(line) <= 20 for line in lines[:4]), f"columns: {lines}")
    # Only another size makes it draw again now.
    fcntl.ioctl(t.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    t.proc.send_signal(signal.SIGWINCH)
    t.read_until(b"OPERATION", end)
    w.close()
    w.daemon.wait((0,))
    t.proc.send_signal(signal.SIGWINCH)
    t.ended(1)
    t.read_until(path.encode(), t.seen.find(LEAVE))


def answering(*answers):
    """A socket that gives each of its clients the next answer."""
    path = os.path.join(tempdir(), "false")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen()
    at_end(listener.close)

    def serve():
        for answer in answers:
            client, _ = listener.accept()
            with client:
                try:
                    client.recv(100)
                    client.sendall(answer)
                except OSError:
                    pass  # it had enough
    threading.Thread(target=serve, daemon=True).start()
    return path


@case("what is no daemon, cuts its text, never ends or refuses gets one line, and status 1")
def wrong():
    for answer, words in ((b"", "no control socket"), (WHOLE[:-3].encode(), "no control socket"),
                          (b"\0" + WHOLE.encode(), "no control socket"),
                          (b"x" * (5 << 20), "Message too long"),
                          (b"# error: not\x1b[2Jyou\n", "not?[2Jyou"),
                          (b"what\n# EOF\n", "not understood"),
                          (b"causeway_x{a=\"b} 1\n# EOF\n", "not understood"),
                          (b"causeway_x 1x\n# EOF\n", "not understood"),
                          (b"causeway_x{} \n# EOF\n", "not understood")):
        path = answering(answer)
        out, err = top("-n1", path, status=1)
        equal((out, len(err.splitlines())), ("", 1), f"output for {answer[:40]!r}: {err}")
        check(words in err and path in err, f"{words!r} is not in {err!r}")
    _, err = top("-n1", "/nowhere", status=1)
    check("/nowhere: No such file" in err, err)
    _, err = top("-n1", "/" + "x" * 200, status=1)
    check("too long" in err, err)


@case("whatever it is told, a terminal gets letters, and numbers that make no sense harm nobody")
def lies():
    odd = ("causeway_share_info{directory=\"\x1b[31m\xe9\\\"x\",tag=\"}\",version=\"1\"} 1\n"
           "causeway_uptime_seconds 1e308\n"
           "causeway_requests_total{op=\"" + "A" * 1000 + "\"} 1e300\n"
           "causeway_requests_total{op} 1\ncauseway_requests_total{op=} nan\n"
           "causeway_requests_total{op=\"X\"} -inf\n"
           "causeway_request_seconds_bucket{op=\"X\",le=\"nan\"} 3\n"
           "causeway_request_seconds_bucket{op=\"X\",le=\"+Inf\"} -1\n"
           "causeway_request_seconds_count{op=\"X\"} 3\n"
           + "".join(f'causeway_requests_total{{op="o{i}"}} {i}\n' for i in range(500))
           + "".join(f'causeway_request_seconds_bucket{{op="o3",le="{i}"}} {i}\n'
                     for i in range(200)) + "# EOF\n").encode()
    out, _ = top("-n2", "-d0.01", answering(odd, WHOLE.encode()))
    check("\x1b" not in out and "?[31m" in out, out[:300])
    check("causewayd" in out or "daemons" in out, out[:300])


@case("mistakes on the command line are named")
def usage():
    for args, words in (((), "which daemon"), (("--nonsense", "s"), "--nonsense"), (("-x", "s"), "'-x'"),
                        (("-n", "0", "s"), "'0'"), (("--count=x", "s"), "'x'"), (("-d", "0", "s"), "'0'"),
                        (("--interval", "1e9", "s"), "'1e9'"),
                        (("--count",), "needs an argument"), (("s",) * 17, "more than 16")):
        _, err = top(*args, status=2)
        equal(len(err.splitlines()), 1, f"{args}: {err}")
        check(words in err, f"{args}: {words!r} is not in {err!r}")
    out, _ = top("--help")
    check("--batch" in out, out)


main()

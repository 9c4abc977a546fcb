# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain,asan,tsan timeout=240
"""--record and causeway decode: what forged requests were, and what became of them."""

import errno
import fcntl
import os
import re
import struct
import subprocess

from daemon import Daemon
from fuse import INIT_FLAGS, ROOT, name, read_in
from harness import case, check, equal, main, tempdir, until
from versions import Guest
from world import World

LOCKS = INIT_FLAGS | 1 << 1  # POSIX_LOCKS
HEAD, RECORD = 24, 32        # struct record_head, struct record


def decode(path, *options, status=0):
    done = subprocess.run([os.environ["CAUSEWAY"], "decode", *options, path], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if status is None:
        check(done.returncode in (0, 1), f"status of decode: {done.returncode} {done.stderr}")
    else:
        equal(done.returncode, status, f"status of decode {options}: {done.stderr}")
    return done.stdout.splitlines(), done.stderr


def talk(*options):
    """A file is looked up, read and written, and a few things fail. Path of the recording."""
    path = os.path.join(tempdir(), "record")
    w = World(daemon=Daemon("--record", path, *options), requests=2)
    node = w.fs.lookup("file").nodeid
    fh = w.fs.open(node, os.O_RDWR)
    equal(w.fs.read(node, fh, 0, 64), b"hello, world\n", "contents")
    w.fs.good("WRITE", node, struct.pack("<QQIIQII", fh, 7, 6, 0, 0, 0, 0) + b"record", 24)
    w.fs.fails(-errno.ENOENT, "UNLINK", ROOT, name("no\nsuch"), 16)
    r = w.fs.call("UNLINK", ROOT, name("no-such"), 16, queue=2)
    equal(r.error, -errno.ENOENT, "UNLINK")
    w.fs.fails(-errno.ENOSYS, 62, ROOT, b"?", 16)
    w.fs.release(node, fh)
    w.fs.forget(node)
    w.fe.answers()
    w.fe.close()
    equal(w.daemon.wait(), 0, "status of the daemon")
    equal(os.stat(path).st_mode & 0o777, 0o600, "who may read it")
    return path, node, fh


def with_words(lines, *words):
    return [line for line in lines if all(w in line for w in words)]


@case("each request and its reply is a line")
def lines_of():
    path, node, fh = talk()
    lines, said = decode(path)
    equal(said, "", "what decode says")
    first = lines[0]
    check(re.match(r" +\d+\.\d{6} q1 INIT \d+ node 0(x0)? uid 0 gid 0 major 7 minor \d+ .*flags 0x.*: "
                   r"done, 64 bytes major 7 minor \d+ .*max_write \d+.*, in \d+\.\d us$", first),
          f"the first line is {first}")
    known = with_words(lines, "LOOKUP", '"file": done, 128 bytes', f"nodeid {node:#x}", "size 13")
    check(known, "no LOOKUP of the file: " + "\n".join(lines))
    for words in (("OPEN", f"node {node:#x}", "flags 02", f"done, 16 bytes fh {fh:#x}"),
                  ("READ", f"fh {fh:#x}", "size 64", "done, 13 bytes, in"),
                  ("WRITE", f"fh {fh:#x} offset 7 size 6", "done, 8 bytes size 6"),
                  ("UNLINK", '"no\\x0asuch": -ENOENT, in'),
                  ("q2", "UNLINK", '"no-such": -ENOENT'),
                  ("opcode 62", "-ENOSYS"), ("RELEASE ", f"fh {fh:#x}", "done, 0 bytes")):
        check(with_words(lines, *words), f"no line with {words}:\n" + "\n".join(lines))
    # FORGET has no answer, which is as it should be.
    forget = with_words(lines, "FORGET", f"node {node:#x}", "nlookup 1")
    check(forget and ": " not in forget[0], f"FORGET: {forget}")
    check(not with_words(lines, "no reply"), "something has no reply")
    with open(path, "rb") as f:
        bytes_ = f.read()
    check(b"hello" not in bytes_ and b"record" not in bytes_, "file contents were recorded")


@case("contents, where they are wanted")
def with_data():
    path, _, _ = talk("--record-data")
    lines, _ = decode(path, "--data", "100")
    check('    came "hello, world\\x0a"' in lines, "what was read is not there")
    check('    sent "record"' in lines, "what was written is not there")
    lines, _ = decode(path, "--data", "4")
    check('    came "hell"...' in lines, "what was read is not cut")
    check(not with_words(decode(path)[0], "hell"), "contents that nobody asked for")


@case("filters")
def filters():
    path, node, _ = talk()
    every, _ = decode(path)

    def those(*options):
        lines, _ = decode(path, *options)
        check(set(lines) <= set(every), f"{options}: other lines")
        return lines

    equal(those("--opcode", "lookup,FORGET"), [x for x in every if re.search(
        r"q\d (LOOKUP|FORGET) ", x)], "--opcode")
    equal(those("--error", "any"), [x for x in every if re.search(r": -E\w+, in", x)], "--error any")
    equal(len(those("--error", "ENOSYS")), 1, "--error ENOSYS")
    equal(those("--queue", "2"), [x for x in every if " q2 " in x], "--queue")
    equal(those("--node", hex(node)), [x for x in every if f"node {node:#x} " in x or
                                       f"nodeid {node:#x} " in x], "--node")
    equal(those("--slower", "100000000"), [], "--slower")
    equal(those("--opcode", "UNLINK", "--error", "ENOENT", "--queue", "2"),
          with_words(every, '"no-such"'), "several")
    for options, word in ((("--opcode", "LOOK"), "LOOK"), (("--error", "EWRONG"), "EWRONG"),
                          (("--node", "x"), "--node"), (("--slower", "-1"), "--slower"),
                          (("--queue", "70000"), "65535"), (("--wrong",), "--wrong")):
        said = decode(path, *options, status=2)[1]
        check(word in said, f"{options}: {said}")


@case("a summary")
def summary():
    path, _, _ = talk()
    every, _ = decode(path)
    lines, _ = decode(path, "--summary")
    rows = {m.group(1): [float(n) for n in m.group(2).split()] for m in (
        re.match(r"(\S+)((?: +[0-9.]+){8})$", line) for line in lines) if m}
    for op in ("INIT", "LOOKUP", "UNLINK", "READ", "WRITE", "FORGET"):
        equal(rows[op][0], len(with_words(every, f" {op} ")), f"requests of {op}")
        equal(rows[op][2], 0, f"{op} without a reply")
    equal(rows["UNLINK"][1], 2, "failed UNLINKs")
    equal(rows["READ"][4], 16 + 13, "bytes that came")
    check(0 < rows["LOOKUP"][5] <= rows["LOOKUP"][6] <= rows["LOOKUP"][7], f"times: {rows}")
    check(any(re.match(r"UNLINK +2 ENOENT$", line) for line in lines), "no errors by name")
    equal(rows["(unknown)"][1], 1, "unknown operations")


@case("answers that come later are recorded when they come")
def later():
    path = os.path.join(tempdir(), "record")
    w = World(daemon=Daemon("--record", path, "--posix-lock"), init=False)
    w.fs.init(flags=LOCKS)
    node = w.fs.lookup("file").nodeid
    fh = w.fs.open(node, os.O_RDWR)

    def lock(kind, owner):
        return struct.pack("<4Q4I", fh, owner, 0, 9, kind, 0, 0, 0)

    w.fs.good("SETLK", node, lock(fcntl.F_WRLCK, 1), 16)
    token = w.fs.start("SETLKW", node, lock(fcntl.F_WRLCK, 2), 16)
    w.fs.good("FSYNC", node, struct.pack("<QII", fh, 0, 0), 16)
    w.fs.good("STATFS", 1, b"", 96)
    w.fs.good("SETLK", node, lock(fcntl.F_UNLCK, 1), 16)
    equal(w.fs.finish(token).error, 0, "SETLKW")
    token = w.fs.start("SETLKW", node, lock(fcntl.F_WRLCK, 3), 16)
    w.fs.getattr()  # the one before has been taken
    w.fe.stop_queue(1)
    equal(w.fs.finish(token).error, -errno.EINTR, "SETLKW of a queue that stops")
    w.fe.close()
    equal(w.daemon.wait(), 0, "status of the daemon")
    ops = [re.search(r"q1 (\w+) .*?: (done|-E\w+)", line).groups() for line in decode(path)[0]]
    at = [i for i, (op, _) in enumerate(ops) if op == "SETLKW"]
    equal([ops[i][1] for i in at], ["done", "-EINTR"], "answers of SETLKW")
    # What another thread answers may be written down a moment after the guest has it.
    check(("FSYNC", "done") in ops, f"no FSYNC in {ops}")
    check(ops.index(("STATFS", "done")) < at[0], f"the order of {ops}")


@case("a disk that is full ends the recording, not the daemon")
def full():
    w = World(daemon=Daemon("--record", "/dev/null"))
    w.check()
    # The head goes into the buffer of a pipe, further on nobody reads.
    fifo = os.path.join(tempdir(), "fifo")
    os.mkfifo(fifo)
    fd = os.open(fifo, os.O_RDWR)
    w = World(daemon=Daemon("--record", fifo))
    head = os.read(fd, HEAD)
    equal(head[:8], b"CWAYREC\n", "the magic")
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    os.close(fd)
    os.close(reader)
    w.check()
    until("the log to say that recording ends", lambda: b"recording ends: Broken pipe" in
          w.daemon.stderr())
    w.check()


@case("replies with words of a version table")
def words():
    for options in ((), ("--record-data",)):
        path = os.path.join(tempdir(), "record")
        w = World(init=False, daemon=Daemon("--record", path, *options, "--version-table", "memfd"))
        w.fs = Guest(w.fe)
        w.fs.init()
        w.fs.getattr()
        w.fs.begin()
        node = w.fs.lookup("file").nodeid
        epoch = w.fs.words.epoch
        w.fs.read(node, w.fs.open(node), 0, 64)
        w.fs.fails(-errno.ENOENT, "UNLINK", ROOT, name("no-such"), 16)
        w.fe.close()
        equal(w.daemon.wait(), 0, "status of the daemon")
        lines, said = decode(path, "--data", "64")
        equal(said, "", "what decode says")
        equal(len(with_words(lines, "VT_HELLO", "wire 1", "slots 1048576")), 2, lines)
        told = with_words(lines, f"words of epoch {epoch:#x}")
        equal([t.split()[2] for t in told], ["LOOKUP", "OPEN", "READ"],
              "replies with words")
        check(f"nodeid {node:#x} " in told[0] and " size 13 " in told[0], "what follows", told[0])
        check(with_words(lines, "done, 13 bytes"), "length of the payload alone", told[2])
        equal(bool(with_words(lines, "came", "hello, world")), bool(options), "data")
        summary, _ = decode(path, "--summary")
        check(with_words(summary, "LOOKUP"), "a summary", summary)


@case("what is no recording, and what is cut off")
def damaged():
    path, _, _ = talk()
    with open(path, "rb") as f:
        whole = f.read()
    every, _ = decode(path)
    bad = os.path.join(os.path.dirname(path), "bad")

    def of(data, status=1):
        with open(bad, "wb") as f:
            f.write(data)
        return decode(bad, status=status)

    for data, word in ((b"", "not a recording"), (b"x" * 100, "not a recording"),
                       (whole[:8] + b"\x09" + whole[9:], "version 9"),
                       (whole[:HEAD + 10], "the file ends in record 1"),
                       (whole[:HEAD + RECORD + 5], "the file ends in record 1"),
                       (whole[:HEAD] + b"\xff" * RECORD + whole[HEAD:], "record 1 makes no sense")):
        lines, said = of(data)
        check(word in said and not lines, f"{word}: {said}")
    lines, said = of(whole[:-1])
    check("the file ends in record" in said, said)
    equal([x for x in lines if x in every], every[:len(lines) - 1] if "no reply" in lines[-1]
          else lines, "what came before")
    # From every byte on, nothing but an orderly end.
    for cut in range(HEAD, min(len(whole), 2000), 7):
        of(whole[:cut] + bytes(64), status=None)
    lines, _ = decode("/no/such", status=1)


main()

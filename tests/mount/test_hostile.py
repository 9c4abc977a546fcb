# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=180 builds=plain,asan,tsan
"""A back-end that lies: replies that are short, long, of another request, with errors that are none.
Who asked gets EIO, or what Linux makes of it, and the next request is fine. A ring that breaks the
rules ends the mount. Nothing hangs, nothing crashes, and the kernel is never told what it was not
asked for."""
import atexit
import errno
import os
import signal
import subprocess

from guest import END_SECONDS, check, same, wait_for
from mounted import Mount, asks, is_mounted, run

HOSTILE = os.path.join(os.environ["CAUSEWAY_PLAIN_BUILD"], "tests/mount/hostile")


class Hostile:
    """A back-end for one mount, with a fault at first or none."""

    count = 0

    def __init__(self, *fault):
        Hostile.count += 1
        self.socket = os.path.abspath(f"h{Hostile.count}.sock")
        self.process = subprocess.Popen([HOSTILE, self.socket, *fault], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        atexit.register(self.kill)
        same("said", self.process.stdout.readline(), "listening\n")

    def set(self, opcode, fault):
        self.process.stdin.write(f"{opcode} {fault}\n")
        self.process.stdin.flush()
        same("said", self.process.stdout.readline(), "set\n")

    def end(self, destroyed=None):
        """Its front-end has gone, which said so with DESTROY or not."""
        self.process.stdin.close()
        said = int(self.process.stdout.readline())
        check(destroyed in (None, said), f"{said} times DESTROY")
        same("status of the back-end", self.process.wait(END_SECONDS), 0)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def result(function, *args):
    """What it returns, or the error's name."""
    try:
        return function(*args)
    except OSError as e:
        return errno.errorcode[e.errno]


def read_file(mount):
    with open(mount.path("file"), "rb", buffering=0) as f:
        return len(f.read(4096))


def write_file(mount):
    with open(mount.path("file"), "r+b", buffering=0) as f:
        return f.write(b"x" * 100)


def open_file(mount):
    os.close(os.open(mount.path("file"), os.O_RDONLY))
    return "open"


# opcode → (what sends it, what comes of it)
OPERATIONS = {
    "LOOKUP": (lambda m: os.stat(m.path("file")).st_ino, 2),
    "GETATTR": (lambda m: os.stat(m.point).st_ino, 1),
    "SETATTR": (lambda m: os.chmod(m.path("file"), 0o600), None),
    "OPEN": (open_file, "open"),
    "READ": (read_file, 4096),
    "WRITE": (write_file, 100),
    "READDIRPLUS": (lambda m: os.listdir(m.point), []),
    "READLINK": (lambda m: os.readlink(m.path("link")), "target"),
    "GETXATTR": (lambda m: os.getxattr(m.path("file"), "user.a"), b"value"),
    "STATFS": (lambda m: os.statvfs(m.point).f_blocks, 1000),
}
MALFORMED = ("nothing", "half-a-header", "len-beyond", "len-endless", "len-within-header",
             "len-zero", "other-unique", "no-unique", "interrupt-unique", "error-positive",
             "error-far", "error-least", "error-and-reply")
# Well-formed, but not what was asked for: Linux's judgement, that of a reply which may be short
# among them.
SHORT = {"READ": (2048, 0), "READLINK": ("tar", ""), "GETXATTR": (b"va", b""),
         "READDIRPLUS": ([], [])}


def spoil_replies():
    back_end = Hostile()
    mount = Mount(back_end.socket, "queues=2")
    for opcode, (operation, fine) in OPERATIONS.items():
        same(opcode, result(operation, mount), fine)
        short = SHORT.get(opcode, ("EIO", "EIO"))
        for fault, want in [(f, "EIO") for f in MALFORMED] + [
                ("half-a-reply", short[0]), ("no-reply", short[1]), ("refuse", "EPERM")]:
            back_end.set(opcode, fault)
            same(f"{opcode} with {fault}", result(operation, mount), want)
            back_end.set(opcode, "none")
            same(f"{opcode} after {fault}", result(operation, mount), fine)
    said = mount.text()
    check(said.count("\n") == 1 and "is malformed" in said, f"said: {said}")
    mount.unmount()
    back_end.end(destroyed=1)


def break_ring():
    for opcode in ("READ", "LOOKUP"):
        back_end = Hostile()
        mount = Mount(back_end.socket, "queues=2")
        operation, fine = OPERATIONS[opcode]
        same(opcode, result(operation, mount), fine)
        back_end.set(opcode, "used-beyond")
        same(f"{opcode}, used beyond", result(operation, mount), "ENOTCONN")
        mount.wait(1)
        check("the back-end broke queue" in mount.text(), f"said: {mount.text()}")
        back_end.end()


# What INIT is answered with → what is said; None where the mount works all the same.
INITS = {
    "nothing": "reply to INIT is malformed",
    "half-a-header": "reply to INIT is malformed",
    "no-reply": "reply to INIT is malformed: it is too short",
    "len-endless": "reply to INIT is malformed",
    "other-unique": "reply to INIT is malformed",
    "error-positive": "reply to INIT is malformed",
    "refuse": "the back-end refuses INIT: Operation not permitted",
    "other-major": "the back-end speaks FUSE 8.45, the kernel FUSE 7",
    "used-beyond": "INIT: the back-end broke queue 1",
    "boundless": None,
    "no-write": None,
    "all-flags": None,
}


def spoil_init():
    os.mkdir("point")
    point = os.path.abspath("point")
    for fault, words in INITS.items():
        back_end = Hostile("INIT", fault)
        if words:
            status, said = run(back_end.socket, point)
            same(f"INIT with {fault}: status (it said {said})", status, 1)
            check(words in said, f"INIT with {fault}: said {said!r}, without {words!r}")
            check(not is_mounted(point), f"INIT with {fault}: it is mounted")
        else:
            mount = Mount(back_end.socket)
            for opcode in ("LOOKUP", "READ", "WRITE", "STATFS"):
                operation, fine = OPERATIONS[opcode]
                same(f"INIT with {fault}: {opcode}", result(operation, mount), fine)
            mount.unmount()
        back_end.end()


def never_answered():
    """Requests that are kept end with the mount."""
    back_end = Hostile()
    mount = Mount(back_end.socket, "queues=1")
    back_end.set("STATFS", "keep")
    asking = subprocess.Popen(["stat", "-f", mount.point], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    same("a look beside it", result(os.stat, mount.path("nothing")), "ENOENT")
    wait_for("request", lambda: asks(asking.pid))
    mount.process.terminate()
    mount.process.send_signal(signal.SIGINT)
    check(asking.wait(END_SECONDS) != 0, "stat -f succeeded")
    mount.wait()
    back_end.end(destroyed=0)


for test in (spoil_replies, break_ring, spoil_init, never_answered):
    print(test.__name__, flush=True)
    test()

# SPDX-License-Identifier: BSD-2-Clause
"""A causewayd child: started on a descriptor, ended by pid, its end judged.

The binary is $CAUSEWAYD (plain or sanitizer build). Its stderr goes to a file, so that it can
write any amount, and is searched for sanitizer reports when it has ended.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from harness import HANG, Failure, at_end, check, tempdir, until

REPORTS = (b"AddressSanitizer", b"LeakSanitizer", b"ThreadSanitizer", b"runtime error:",
           b"UndefinedBehavior", b"Assertion", b"assertion")
SANITIZER_STATUS = 99


def binary():
    path = os.environ.get("CAUSEWAYD")
    if not path or not os.access(path, os.X_OK):
        raise SystemExit("set CAUSEWAYD to the daemon's binary")
    return os.path.abspath(path)


def sanitizer():
    """The sanitizer that the binary was built with: "asan", "tsan" or None."""
    with open(binary(), "rb") as f:
        data = f.read()
    return "asan" if b"__asan_init" in data else "tsan" if b"__tsan_init" in data else None


def without_sandbox(user=None):
    """Options for a sanitizer build: it looks at itself through ptrace(2) and makes system calls of
    its own."""
    if not sanitizer():
        return []
    return ["--sandbox", "none", "--seccomp", "none",
            *([] if user else ["--modcaps", "+sys_ptrace"])]


def environment(leaks=True):
    """leaks: an ordinary user's daemon cannot be looked at, by itself neither."""
    env = dict(os.environ)
    add = {"ASAN_OPTIONS": f"detect_leaks={int(leaks)}:abort_on_error=0",
           "UBSAN_OPTIONS": "print_stacktrace=1",
           "TSAN_OPTIONS": "second_deadlock_stack=1"}
    for name, value in add.items():
        common = f"halt_on_error=1:exitcode={SANITIZER_STATUS}:{value}"
        env[name] = ":".join(v for v in (env.get(name), common) if v)
    return env


def make_share(public=False):
    """A small tree that the cases know; returned as a path. public: where other users get to."""
    if public:
        above = tempfile.mkdtemp(prefix="cw-public-", dir="/var/tmp")
        at_end(shutil.rmtree, above, True)
        os.chmod(above, 0o755)
    root = os.path.join(above if public else tempdir(), "share")
    os.makedirs(os.path.join(root, "dir", "sub"))
    for path, data in (("file", b"hello, world\n"), ("big", bytes(range(256)) * 4096),
                       ("empty", b""), ("dir/inner", b"inner\n")):
        with open(os.path.join(root, path), "wb") as f:
            f.write(data)
    os.symlink("file", os.path.join(root, "link"))
    os.symlink("/etc", os.path.join(root, "escape"))
    os.mkfifo(os.path.join(root, "fifo"))
    return root


def is_init(pid):
    """Whether a process is the first of a pid namespace."""
    try:
        with open(f"/proc/{pid}/status") as f:
            return re.search(r"^NSpid:.*\t1$", f.read(), re.M) is not None
    except OSError:
        return False


class Daemon:
    """One process. listen=True gives it a listening socket, else one end of a socketpair. command
    makes the whole command line of another program, or another way to start ours, of a descriptor
    and a directory."""

    def __init__(self, *options, share=None, listen=False, tag="proto", user=None, command=None):
        self.share = share or make_share()
        self.path = None
        self.ended = False
        self.lasting = "--keep-listening" in options
        self.used = False
        if listen:
            self.path = os.path.join(tempdir(), "sock")
            theirs = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            theirs.bind(self.path)
            theirs.listen(16)
            self.sock = None
        else:
            self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        if not command:
            options = [*without_sandbox(user), *options]
            if sanitizer() and "--modcaps" in options[6:]:
                options[len(options) - options[::-1].index("--modcaps")] += ":+sys_ptrace"
        words = [*options, "--sandbox", "none" if command else "namespace"]
        self.sandbox = words[words.index("--sandbox") + 1]
        self.errlog = tempfile.TemporaryFile()
        argv = [binary(), "--shared-dir", self.share, "--fd", str(theirs.fileno()), *options]
        if tag:
            argv += ["--tag", tag]
        if command:
            argv = command(theirs.fileno(), self.share)
        self.proc = subprocess.Popen(argv, pass_fds=[theirs.fileno()],
                                     env=environment(leaks=user is None),
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                     stderr=self.errlog, user=user, group=user,
                                     extra_groups=None if user is None else [])
        theirs.close()
        at_end(self.stop)

    @property
    def pid(self):
        """The process that serves: with a sandbox, the child of the one that was started."""
        while self.sandbox != "none":
            try:
                with open(f"/proc/{self.proc.pid}/task/{self.proc.pid}/children") as f:
                    child = f.read().split()
            except FileNotFoundError:
                break
            # The helper that maps ids comes and goes before.
            if child and (self.sandbox == "chroot" or is_init(child[0])):
                return int(child[0])
            check(self.running(), "the daemon has ended")
            time.sleep(0.001)
        return self.proc.pid

    def connect(self):
        """A new connected socket to the daemon."""
        self.used = True
        if self.sock:
            sock, self.sock = self.sock, None
            return sock
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(HANG)
        sock.connect(self.path)
        sock.settimeout(None)
        return sock

    def stderr(self):
        self.errlog.seek(0)
        return self.errlog.read()

    def stderr_lines(self):
        return [line for line in self.stderr().decode(errors="replace").splitlines() if line]

    def running(self):
        return self.proc.poll() is None

    def tasks(self):
        """Threads, those of the pool apart, which stay."""
        return sum(self.task_name(t) != "pool" for t in os.listdir(f"/proc/{self.pid}/task"))

    def task_name(self, task):
        try:
            with open(f"/proc/{self.pid}/task/{task}/comm") as f:
                return f.read().strip()
        except (FileNotFoundError, ProcessLookupError):
            return "pool"  # it has just ended

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def maps(self):
        """Number of memory mappings of memfds: guest memory that is mapped."""
        with open(f"/proc/{self.pid}/maps") as f:
            return sum("memfd:cw-proto" in line for line in f)

    def wait_quiet(self, fds, tasks=None):
        """Waits until a connection's descriptors (and threads) are gone again."""
        until(f"daemon keeps {self.fds()} descriptors, had {fds}", lambda: self.fds() <= fds)
        if tasks is not None:
            until(f"daemon keeps {self.tasks()} threads, had {tasks}",
                  lambda: self.tasks() <= tasks)

    def wait(self, statuses=(0, 1), why="after its connection"):
        """Waits for the end of the process and judges it."""
        try:
            status = self.proc.wait(HANG)
        except subprocess.TimeoutExpired:
            stacks = self._stacks()
            self.proc.kill()
            self.proc.wait()
            self.ended = True
            raise Failure(f"daemon did not end {why}\n{stacks}{self._tail()}") from None
        self.ended = True
        text = self.stderr()
        if any(r in text for r in REPORTS) or status == SANITIZER_STATUS:
            raise Failure(f"sanitizer report, status {status}:\n{text.decode(errors='replace')}")
        if status not in statuses:
            raise Failure(f"daemon ended with status {status} {why}{self._tail()}")
        return status

    def alive(self):
        """Fails when the process has ended."""
        if not self.running():
            self.wait((None,), "while it had to serve")

    def terminate(self):
        """SIGTERM must end it cleanly."""
        self.proc.send_signal(signal.SIGTERM)
        return self.wait((0,), "after SIGTERM")

    def stop(self):
        """The end of a case: closes what we hold and judges how the daemon ends."""
        if self.ended:
            return
        if self.sock:
            self.sock.close()
            self.used = True
        if self.used and not self.lasting:
            self.wait()  # its only front-end is gone
        elif self.used:
            self.terminate()
        else:
            self.proc.send_signal(signal.SIGTERM)  # perhaps before it could install a handler
            self.wait((0, -signal.SIGTERM), "after SIGTERM")

    def _tail(self):
        lines = self.stderr_lines()[-8:]
        return "".join("\n        | " + line for line in lines)

    def _stacks(self):
        """Where each thread sleeps, for reports of hangs."""
        if shutil.which("gdb"):
            r = subprocess.run(["gdb", "-p", str(self.pid), "-batch", "-ex",
                                "thread apply all bt 12"], capture_output=True, timeout=60)
            return r.stdout.decode(errors="replace")[-6000:]
        out = ""
        for tid in os.listdir(f"/proc/{self.pid}/task"):
            try:
                with open(f"/proc/{self.pid}/task/{tid}/wchan") as f:
                    out += f"        thread {tid}: {f.read()}\n"
            except OSError:
                pass
        return out


def run_options(*argv, limit=HANG):
    """Runs the daemon with these arguments to its end; (status, stdout, stderr)."""
    try:
        r = subprocess.run([binary(), *argv], stdin=subprocess.DEVNULL, capture_output=True,
                           env=environment(), timeout=limit)
    except subprocess.TimeoutExpired:
        raise Failure(f"still running after {limit} s: {argv}") from None
    check(not any(x in r.stderr for x in REPORTS), "sanitizer report", r.stderr.decode())
    return r.returncode, r.stdout.decode(), r.stderr.decode()

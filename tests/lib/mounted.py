# SPDX-License-Identifier: BSD-2-Clause
"""Mounts of `causeway mount` as children of a test, unmounted and ended with it.

The command is that of the build under test, the daemons are plain ones: sanitizers are for the
mount here. (ThreadSanitizer takes a page of guest memory that comes back on one queue and is used
on another next for a race in the daemon, as the order is made in another process.)
"""
import atexit
import ctypes
import os
import signal
import subprocess

from guest import END_SECONDS, check, same, setup_path, skip, wait_for

PROGRAM = os.path.join(os.environ["CAUSEWAY_BUILD"], "tools/causeway")
DAEMON = os.path.join(os.environ["CAUSEWAY_PLAIN_BUILD"], "src/daemon/causewayd")
VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
MNT_FORCE, MNT_DETACH = 1, 2
ENVIRONMENT = {**os.environ, "CAUSEWAYD": DAEMON}

if os.geteuid() != 0:
    skip("needs root")
try:
    os.close(os.open("/dev/fuse", os.O_RDWR))
except OSError as e:
    skip(f"/dev/fuse: {e.strerror}")


def is_mounted(point):
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as f:
        return any(line.split()[4] == point for line in f)


def state(process):
    """The letter of a process, or of a thread as PID/task/TID; Z when it is gone."""
    try:
        with open(f"/proc/{process}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def lives(pid):
    """A zombie does not: whoever has to reap it may not be one of ours."""
    return state(pid) != "Z"


def stop(pid):
    """Stands a process still, all of its threads."""
    os.kill(pid, signal.SIGSTOP)
    wait_for(f"stop of {pid}", lambda: all(
        state(f"{pid}/task/{t}") == "T" for t in os.listdir(f"/proc/{pid}/task")))


def children(pid):
    """All processes below one."""
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
                found += map(int, f.read().split())
    except OSError:
        pass
    return found + [p for child in found for p in children(child)]


def asks(process):
    """Whether a process, or a thread as PID/task/TID, waits for the answer to a request."""
    try:
        with open(f"/proc/{process}/stack", encoding="ascii") as f:
            return "request_wait_answer" in f.read()
    except OSError:
        return False


def asking_threads():
    """How many of the test's own threads do."""
    return sum(asks(f"self/task/{task}") for task in os.listdir("/proc/self/task"))


def command_line(pid):
    with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as f:
        return f.read().split("\0")[:-1]


def wait_gone(pids):
    wait_for(f"end of {pids}", lambda: not any(lives(p) for p in pids))


def run(*args, **more):
    """The command, to its end: (exit status, what it says). It must let go of its output."""
    done = subprocess.run([PROGRAM, "mount", *args], env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=END_SECONDS * 2, check=False, **more)
    return done.returncode, done.stdout


class Mount:
    """A mount in the foreground. Words are those of -o; options those of the captive daemon."""

    count = 0

    def __init__(self, source, *words, options=()):
        Mount.count += 1
        self.point = os.path.abspath(f"m{Mount.count}")
        os.mkdir(self.point)
        self.log_path = os.path.abspath(f"mount{Mount.count}.log")
        words = list(words) + ["daemon_option=" + o.replace(",", "\\,") for o in options]
        argv = [PROGRAM, "mount", source, self.point, "-f"]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(argv + (["-o", ",".join(words)] if words else []),
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=ENVIRONMENT)
        atexit.register(self.kill)
        wait_for(f"mount of {source}", self._is_there)
        # What is mounted may not have had its INIT yet; this waits for that.
        os.stat(self.point)
        self.below = children(self.process.pid)

    def _is_there(self):
        check(self.process.poll() is None, f"causeway mount ended:\n{self.text()}")
        return is_mounted(self.point)

    def text(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def path(self, name):
        return os.path.join(self.point, name)

    def daemon(self):
        """The captive daemon's process that serves: the child of the one that was started."""
        found = [p for p in children(self.process.pid) if "--shared-dir" in command_line(p)]
        check(found, "there is no captive daemon")
        return found[-1]

    def wait(self, status=0):
        """Until it has ended by itself, and nothing of it is left."""
        try:
            # What was written goes to a disk that others may be busy with.
            got = self.process.wait(END_SECONDS * 4)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the mount did not end:\n{self.text()}") from None
        same(f"status of the mount (it said: {self.text()})", got, status)
        wait_gone(self.below)
        check(not is_mounted(self.point), "the mount is still there")

    def unmount(self, *options):
        done = subprocess.run(["umount", *options, self.point], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=END_SECONDS,
                              check=False)
        same(f"umount: {done.stdout}", done.returncode, 0)
        self.wait()

    def kill(self):
        """Whatever happened, nothing stays. (A child would close our files before it unmounts,
        and wait for the back-end to hear of it.)"""
        if is_mounted(self.point):
            ctypes.CDLL(None).umount2(os.fsencode(self.point), MNT_FORCE | MNT_DETACH)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            print(f"--- said by the mount at {self.point}:\n{self.text()[-3000:]}")


class Virtiofsd:
    """QEMU's C daemon, a server that we did not write. It ends with its front-end."""

    def __init__(self, directory, *options):
        if not os.access(VIRTIOFSD, os.X_OK):
            skip(f"not installed: {VIRTIOFSD}")
        words = [f"source={os.path.abspath(directory)}", "sandbox=chroot", *options]
        self.start(directory, VIRTIOFSD, *(w for o in words for w in ("-o", o)))

    def start(self, directory, program, *words):
        self.name = os.path.basename(directory)
        self.socket = os.path.abspath(f"{directory}.sock")
        with open(f"{self.socket}.log", "wb") as log:
            self.process = subprocess.Popen([program, f"--socket-path={self.socket}", *words],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        atexit.register(self.kill)
        wait_for("virtiofsd's socket", lambda: os.path.exists(self.socket))

    def wait(self):
        same("status of virtiofsd", self.process.wait(END_SECONDS), 0)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class RustVirtiofsd(Virtiofsd):
    """virtiofsd 1.14, which is another program."""

    def __init__(self, directory, *options):
        # With file handles it forgets a file with its last name, also where a guest has it open.
        self.start(directory, setup_path("virtiofsd-sid")[0],
                   f"--shared-dir={os.path.abspath(directory)}", "--sandbox=chroot",
                   "--seccomp=none", "--inode-file-handles=never", *options)

# SPDX-License-Identifier: BSD-2-Clause
"""One test as a process: started in a private directory, watched, and when it hangs, shown with
its stacks before it is killed.

Every process of a test carries CAUSEWAY_TEST_ID in its environment, also after setsid() or a
double fork: that is how stacks are found and how nothing is left behind.
"""
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time

SKIP = 77
ADDR_NO_RANDOMIZE = 0x0040000
PR_SET_CHILD_SUBREAPER = 36


def become_subreaper():
    """Orphans of tests come to us, so that they can be reaped."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _fixed_addresses():
    """ThreadSanitizer's shadow memory does not fit every random layout."""
    ctypes.CDLL(None).personality(ADDR_NO_RANDOMIZE)


def processes_of(test_id):
    """Pids whose environment names the test, zombies left out."""
    mark = b"CAUSEWAY_TEST_ID=" + test_id.encode()
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                if mark in f.read().split(b"\0"):
                    found.append(int(pid))
        except OSError:
            continue
    return found


def _proc_text(pid, name):
    try:
        with open(f"/proc/{pid}/{name}", "rb") as f:
            return f.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError as e:
        return f"({e.strerror})"


def stacks(pids):
    """User and kernel stacks of all threads of the processes, as text."""
    out = []
    for pid in pids:
        command = _proc_text(pid, "cmdline")
        out.append(f"--- process {pid}: {command[:300]}")
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            threads = []
        for tid in threads:
            out.append(f"thread {tid}: {_proc_text(pid, f'task/{tid}/wchan')}")
            out.append(_proc_text(pid, f"task/{tid}/stack"))
        # Python tests write their own stack on SIGABRT; a debugger shows only the interpreter.
        if shutil.which("gdb") and "python3" not in command.split(" ")[0]:
            try:
                bt = subprocess.run(
                    ["gdb", "-nx", "-batch", "-p", str(pid), "-ex", "thread apply all bt 30"],
                    capture_output=True, text=True, errors="replace", timeout=40,
                    stdin=subprocess.DEVNULL)
                out.append(bt.stdout)
            except subprocess.TimeoutExpired:
                out.append("(gdb did not finish)")
    return "\n".join(out) + "\n"


def kill_all(test_id):
    """End every process of the test; returns the command lines of those that were there."""
    names = []
    for _ in range(50):
        pids = processes_of(test_id)
        if not pids:
            break
        for pid in pids:
            if len(names) < 20:
                names.append(_proc_text(pid, "cmdline")[:200])
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.1)
    return names


def sanitizer_environment(directory):
    """Reports go to files, so that no process can swallow one."""
    log = f"log_path={directory}/sanitizer"
    return {
        "ASAN_OPTIONS": f"{log}:exitcode=99:detect_leaks=1:detect_stack_use_after_return=1:"
                        "strict_string_checks=1",
        "UBSAN_OPTIONS": f"{log}:exitcode=99:print_stacktrace=1:halt_on_error=1",
        "LSAN_OPTIONS": "exitcode=99",
        "TSAN_OPTIONS": f"{log}:exitcode=99:second_deadlock_stack=1:history_size=4",
    }


def _room_of(test):
    """Where a test has its directory: not in /tmp, for a guest with the host's root has a /tmp of its own.
    What unit tests do on a disk they do there with the plain build; sanitizers look at memory."""
    if test.name.startswith("unit/") and test.build != "plain" and os.access("/dev/shm", os.W_OK):
        return "/dev/shm"
    return "/var/tmp"


class Job:
    """A running test. poll() returns None, or (verdict, reason) once it is over."""

    def __init__(self, test, argv, env, log_path):
        self.test = test
        self.log_path = log_path
        self.dir = tempfile.mkdtemp(prefix="cw-", dir=_room_of(test))
        self.id = os.path.basename(self.dir)
        self.started = time.monotonic()
        self.hung = False
        env = {**os.environ, **env, **sanitizer_environment(self.dir),
               "CAUSEWAY_TEST_ID": self.id, "TMPDIR": self.dir}
        tsan = env["CAUSEWAY_CHECK_BUILD"] == "tsan"
        with open(log_path, "wb") as log:
            self.process = subprocess.Popen(
                argv, cwd=self.dir, env=env, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
                preexec_fn=_fixed_addresses if tsan else None)

    def seconds(self):
        return time.monotonic() - self.started

    def _note(self, text):
        with open(self.log_path, "a", errors="replace") as log:
            log.write(text)

    def poll(self):
        status = self.process.poll()
        if status is None:
            if self.seconds() > self.test.timeout:
                self._abort()
            return None
        verdict = self._verdict(status)
        shutil.rmtree(self.dir, ignore_errors=True)
        return verdict

    def _abort(self):
        self.hung = True
        pids = processes_of(self.id)
        self._note(f"\n*** no end after {self.test.timeout} s; stacks:\n" + stacks(pids))
        try:
            os.kill(self.process.pid, signal.SIGABRT)
            self.process.wait(5)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass
        self._unmount()
        kill_all(self.id)
        self.process.wait()

    def stop(self):
        """The whole run was interrupted."""
        self._unmount()
        kill_all(self.id)
        self.process.wait()
        self._unmount()
        shutil.rmtree(self.dir, ignore_errors=True)

    def _unmount(self):
        """Frees who waits for what is mounted in the test's directory; the places of it."""
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as f:
            places = [line.split()[4] for line in f]
        places = [p for p in reversed(places) if p.startswith(self.dir + "/")]
        for place in places:
            subprocess.run(["umount", "-f", "-l", place], stdin=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=False)
        return places

    def _left_behind(self):
        # A child that was told to end may need a moment: it is held against the test only if
        # it is still there after that.
        deadline = time.monotonic() + 10
        while processes_of(self.id) and time.monotonic() < deadline:
            time.sleep(0.05)
        return kill_all(self.id)

    def _sanitizer_reports(self):
        text = ""
        for name in sorted(os.listdir(self.dir)):
            if name.startswith("sanitizer."):
                with open(os.path.join(self.dir, name), errors="replace") as f:
                    text += f.read()
        return text

    def _verdict(self, status):
        left = self._left_behind()
        mounts = self._unmount()
        reports = self._sanitizer_reports()
        if self.hung:
            return "FAIL", f"no end after {self.test.timeout} s"
        if reports:
            self._note("\n*** sanitizer reports:\n" + reports)
            return "FAIL", "sanitizer report"
        if left:
            self._note("\n*** processes left behind:\n" + "\n".join(left) + "\n")
            if status in (0, SKIP):
                return "FAIL", "left processes behind"
        if mounts:
            self._note("\n*** mounts left behind:\n" + "\n".join(mounts) + "\n")
            if status in (0, SKIP):
                return "FAIL", "left mounts behind"
        if status == 0:
            return "ok", ""
        if status == SKIP:
            with open(self.log_path, errors="replace") as log:
                lines = log.read().strip().splitlines()
            return "skip", lines[-1] if lines else "no reason given"
        return "FAIL", f"signal {-status}" if status < 0 else f"exit status {status}"

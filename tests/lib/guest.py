# SPDX-License-Identifier: BSD-2-Clause
"""Guests and daemons as children of a test.

Guest keeps a shell in a guest through `causeway vm ... -- sh` and runs commands in it. Daemon
serves a directory by itself, for guests that attach to its socket. Both end with the test.
"""
import atexit
import functools
import json
import os
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time

SRC = os.environ["CAUSEWAY_SRC"]
CAUSEWAY = os.environ["CAUSEWAY"]
CAUSEWAYD = os.environ["CAUSEWAYD"]
BUILD = os.environ["CAUSEWAY_CHECK_BUILD"]
FULL = bool(os.environ["CAUSEWAY_FULL"])
if BUILD != "plain":
    # Sanitizers look at themselves through ptrace(2) and make system calls of their own.
    with open("causewayd", "w", encoding="ascii") as script:
        script.write(f"#!/bin/sh\nexec {shlex.quote(CAUSEWAYD)} --sandbox none --seccomp none "
                     "--modcaps +sys_ptrace \"$@\"\n")
    os.chmod("causewayd", 0o755)
    CAUSEWAYD = os.environ["CAUSEWAYD"] = os.path.abspath("causewayd")
# A copy in the test's directory: a guest sees that one, wherever the build is.
FSCASES = os.path.abspath("fscases")
shutil.copy(os.path.join(os.environ["CAUSEWAY_PLAIN_BUILD"], "tests/fs/fscases"), FSCASES)
# How long something may take that is due at once: limits for a hang, not measures of speed.
SLOW = {"plain": 1, "asan": 3, "tsan": 5}[BUILD]
BOOT_SECONDS = 90 * SLOW
COMMAND_SECONDS = 60 * SLOW
END_SECONDS = 30 * SLOW

quote = shlex.quote


def skip(reason):
    print(reason)
    sys.exit(77)


def check(condition, text):
    if not condition:
        raise AssertionError(text)


def same(what, got, want):
    check(got == want, f"{what}: {got!r}, not {want!r}")


def wait_for(what, condition, seconds=END_SECONDS):
    """Wait until something that other processes bring about is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < deadline, f"no {what} after {seconds} s")
        time.sleep(0.02)


def setup_path(what):
    """Lines of `tools/setup --path WHAT`; skips the test when it can't be had."""
    done = subprocess.run([os.path.join(SRC, "tools/setup"), "--path", what],
                          stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        skip(f"tools/setup can't get {what}")
    return done.stdout.split()


@functools.lru_cache(maxsize=None)
def fast_qemu():
    """Options for guests of tests that are not about QEMU: for the same guest, 10.0 takes a third less of the
    processor than Debian 12's 7.2, which will do where it can't be had."""
    done = subprocess.run([os.path.join(SRC, "tools/setup"), "--path", "qemu-backports"],
                          stdout=subprocess.PIPE, text=True, check=False)
    return ("--qemu", done.stdout.split()[0]) if done.returncode == 0 else ()


def host(command, check_status=True, **more):
    """A shell command on the host; its output."""
    done = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          **more, check=False)
    text = done.stdout.decode(errors="surrogateescape")
    check(not check_status or done.returncode == 0, f"{command}: {done.returncode}\n{text}")
    return text


class Daemon:
    """A causewayd with a socket of its own, run by a user (a number, without groups) or by us."""

    count = 0

    def __init__(self, directory, *options, name=None, user=None, program=CAUSEWAYD):
        Daemon.count += 1
        self.name = name or f"d{Daemon.count}"
        self.socket = os.path.abspath(f"{self.name}.sock")
        self.log_path = os.path.abspath(f"{self.name}.log")
        self.log = open(self.log_path, "wb")
        self.process = subprocess.Popen(
            [program, "--shared-dir", directory, "--socket-path", self.socket,
             "--log-level", "info", *options],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, user=user, group=user,
            extra_groups=None if user is None else [])
        atexit.register(self.kill)
        self.wait_log("listening on")

    @property
    def pid(self):
        """The process that serves: with a sandbox, the child of the one that was started."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children",
                  encoding="ascii") as f:
            return int((f.read().split() or [self.process.pid])[0])

    def text(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def wait_log(self, words, count=1):
        """Until the log has the words so often."""
        def there():
            if self.text().count(words) >= count:
                return True
            check(self.process.poll() is None,
                  f"{self.name} ended with {self.process.returncode}:\n{self.text()}")
            return False
        wait_for(f"'{words}' in {self.name}'s log", there)

    def statistics(self):
        """({queue: {word: number}}, known nodes, open handles), asked for with SIGUSR1."""
        before = self.text().count("nodes:")
        self.process.send_signal(signal.SIGUSR1)
        self.wait_log("nodes:", before + 1)
        return self.last_statistics()

    def last_statistics(self):
        text = self.text()
        end = [m for m in re.finditer(r"nodes: (\d+) known, handles: (\d+) open", text)]
        check(end, f"no statistics in the log of {self.name}:\n{text}")
        start = end[-2].end() if len(end) > 1 else 0
        queues = {}
        for m in re.finditer(r"queue (\d+): (\d+) requests, (\d+) kicks, (\d+) calls, "
                             r"(\d+) errors", text[start:end[-1].start()]):
            queues[int(m.group(1))] = dict(zip(("requests", "kicks", "calls", "errors"),
                                               map(int, m.groups()[1:])))
        return queues, int(end[-1].group(1)), int(end[-1].group(2))

    def wait(self, seconds=END_SECONDS):
        """The exit status of a daemon that is about to end by itself."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end:\n{self.text()}") from None
        return status

    def stop(self):
        """End a daemon that is still wanted until now; it has to end in order."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.wait()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            print(f"--- log of {self.name}:\n{self.text()[-3000:]}")
        self.log.close()


class Guest:
    """A shell in a guest. Options are those of `causeway vm`."""

    def __init__(self, *options, boot_seconds=BOOT_SECONDS, command=("sh",)):
        self.log_path = os.path.abspath(f"guest{id(self)}.log")
        self.log = open(self.log_path, "wb")
        self.process = subprocess.Popen(
            [CAUSEWAY, "vm", *options, "--", *command], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.log)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.pending = b""
        self.count = 0
        atexit.register(self.kill)
        # The shell starts in the first share, which some tests unmount.
        self.run("cd /", boot_seconds)

    def text(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def send(self, text):
        self.process.stdin.write(text.encode(errors="surrogateescape"))
        self.process.stdin.flush()

    def _read(self, deadline, what):
        """More bytes of the guest's output."""
        while True:
            if select.select([self.process.stdout], [], [], 0.5)[0]:
                data = os.read(self.process.stdout.fileno(), 1 << 16)
                check(data, f"the guest ended during: {what}\n"
                            f"{self.pending[-2000:].decode(errors='replace')}\n{self.text()}")
                return data
            check(time.monotonic() < deadline,
                  f"no end of: {what}\n{self.pending[-3000:].decode(errors='replace')}\n"
                  f"{self.text()[-3000:]}")

    def try_run(self, command, seconds=COMMAND_SECONDS):
        """(exit status, output with standard error) of a shell command."""
        self.count += 1
        mark = f"--<{self.count}:"
        self.send("{ " + command + "\n} </dev/null 2>&1; printf '\\n" + mark + "%s>--\\n' $?\n")
        deadline = time.monotonic() + seconds
        end = re.compile(re.escape(mark.encode()) + rb"(\d+)>--\n")
        while not (m := end.search(self.pending)):
            self.pending += self._read(deadline, command)
        output = self.pending[:m.start()]
        self.pending = self.pending[m.end():]
        return int(m.group(1)), output[:-1].decode(errors="surrogateescape")

    def run(self, command, seconds=COMMAND_SECONDS):
        """The output of a command that must succeed."""
        status, output = self.try_run(command, seconds)
        check(status == 0, f"in the guest: {command}: status {status}\n{output[-4000:]}")
        return output

    def reset(self, how):
        """Calls what resets the machine; until the tool has started the shell anew. What is sent
        before that is lost."""
        self.run("before=1")
        how()
        self.pending = b""

        def answers():
            self.send("echo here$before.\n")
            if select.select([self.process.stdout], [], [], 1)[0]:
                data = os.read(self.process.stdout.fileno(), 1 << 16)
                check(data, f"the guest ended instead of a reset:\n{self.text()}")
                self.pending += data
            return b"here.\n" in self.pending
        wait_for("shell after a reset", answers, BOOT_SECONDS)
        self.run("cd /")

    def background(self, perl, *args):
        """Start a Perl program whose standard input is the shell's descriptor 7 and whose output
        is 8: it can hold a file open, which a shell can't without closing copies of it."""
        self.run("rm -f /tmp/in /tmp/out; mkfifo /tmp/in /tmp/out")
        words = " ".join(quote(a) for a in args)
        self.send(f"perl -e {quote(perl)} {words} </tmp/in >/tmp/out & "
                  "exec 7>/tmp/in 8</tmp/out\n")

    def hold_written(self, path, text):
        """Write into a file and keep it open; until release()."""
        self.background('$| = 1; open F, "+<", $ARGV[0]; '
                        'print syswrite(F, $ARGV[1]), "\\n"; <STDIN>', path, text)
        same("written", self.run("read -r x <&8; echo $x"), f"{len(text)}\n")

    def hold_read(self, path, length):
        """Keep a file open; read_held() then reads its start, each time anew."""
        self.background('$| = 1; open F, "<", $ARGV[0]; while (<STDIN>) { sysseek F, 0, 0; '
                        '$n = sysread F, $b, $ARGV[1]; print defined $n ? "$b\\n" : "$!\\n" }',
                        path, str(length))

    READ_HELD = "echo >&7; read -r x <&8; echo $x"

    def release(self):
        """End what background() started; its files are closed then."""
        self.run("exec 7>&- 8<&-; wait")

    def close(self):
        """End the shell; the guest and all of its processes end in order. The exit status."""
        self.process.stdin.close()
        try:
            status = self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the guest did not end:\n{self.text()}") from None
        return status

    def kill(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            print(f"--- log of the guest:\n{self.text()[-3000:]}")
        self.log.close()


class Monitor:
    """QEMU's monitor of a Guest that was started with the options."""

    def __init__(self, name):
        self.path = os.path.abspath(name)
        self.options = ("--qemu-option", "-qmp", "--qemu-option",
                        f"unix:{self.path},server=on,wait=off")
        self.stream = None

    def command(self, name, **arguments):
        """Runs a command to its end; what it returns."""
        if not self.stream:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(END_SECONDS)
            sock.connect(self.path)
            self.stream = sock.makefile("rw")
            check("QMP" in self.stream.readline(), "no greeting of QEMU's monitor")
            self.command("qmp_capabilities")
        self.stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self.stream.flush()
        while "event" in (answer := json.loads(self.stream.readline())):
            pass
        check("return" in answer, f"{name}: {answer}")
        return answer["return"]

    def human(self, line):
        """What QEMU's monitor for people says to a line."""
        return self.command("human-monitor-command", **{"command-line": line})

    def pause(self):
        """Stops the machine and lets it go on."""
        self.command("stop")
        self.command("cont")

    def forget_translations(self):
        """Makes a QEMU that emulates look at the guest's programs anew: what it has translated
        outlives the file memory it was in (docs/dax.md). No command does just that; but a snapshot
        that is to be loaded does, also where there is none, and stops the machine."""
        self.human("loadvm none")
        self.command("cont")


def warnings_of(guest):
    """What the guest's kernel complained about."""
    return [line for line in guest.run("dmesg").splitlines()
            if re.search(r"WARNING|BUG|Oops|hung task|virtio.*(error|fail)|fuse.*error", line)]

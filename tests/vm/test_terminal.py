# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=600
"""`causeway vm` on a terminal behaves as a local command does: the guest's command has a terminal
of the same size, Ctrl-C reaches it, an interactive shell answers, and the terminal is afterwards as
it was before. A line says what the wait is for, and is gone when the command starts."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from guest import BOOT_SECONDS, CAUSEWAY, END_SECONDS, check, same


class OnTerminal:
    """A command whose terminal is ours."""

    def __init__(self, *args, rows=33, columns=101):
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.seen = b""

        def take_terminal():
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored in background jobs
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen([CAUSEWAY, "vm", *args], stdin=slave, stdout=slave,
                                        stderr=slave, start_new_session=True,
                                        preexec_fn=take_terminal)

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys):
        os.write(self.master, keys)

    def expect(self, pattern, seconds=END_SECONDS):
        """Reads until the pattern was seen; what came before it is gone then."""
        deadline = time.monotonic() + seconds
        while not (m := re.search(pattern, self.seen)):
            left = deadline - time.monotonic()
            check(left > 0 and select.select([self.master], [], [], left)[0],
                  f"no {pattern} but {self.seen}")
            self.seen += os.read(self.master, 65536)
        before, self.seen = self.seen[:m.start()], self.seen[m.end():]
        return before

    def end(self):
        """The exit status; the terminal has to be what it was."""
        status = self.process.wait(END_SECONDS)
        now = termios.tcgetattr(self.slave)
        same("the terminal's settings", now, self.before)
        os.close(self.slave)
        os.close(self.master)
        return status


def sizes_and_interrupt():
    t = OnTerminal("--", "sh", "-c", "test -t 0 && test -t 1 && test -t 2 && stty size; "
                   "trap 'stty size' WINCH; echo ready; while :; do sleep 0.1; done")
    boot = t.expect(rb"33 101\r\n", BOOT_SECONDS)
    check(b"starting" in boot, f"no word while it boots: {boot}")
    # What was on the line last is erased: it ends with a return and an erasure.
    check(re.search(rb"\r\x1b\[K$", boot), f"the progress line stays: {boot[-60:]}")
    t.expect(rb"ready\r\n")
    t.resize(40, 120)
    t.expect(rb"40 120\r\n")
    t.type(b"\x03")
    same("status after Ctrl-C", t.end(), 130)


def interactive_shell():
    t = OnTerminal("--root", "minimal")
    t.expect(rb"[#$] ", BOOT_SECONDS)
    t.type(b"echo $((6 * 7))\r")
    t.expect(rb"\n42\r\n")
    t.type(b"echo typd\x7f\x7fed && exit 5\r")
    t.expect(rb"\ntyed\r\n")
    same("status of the shell", t.end(), 5)


def killed_guest():
    """The terminal is restored also where the end is not the command's."""
    t = OnTerminal("--", "sh", "-c", "echo ready; echo c > /proc/sysrq-trigger; sleep 1000")
    t.expect(rb"ready\r\n", BOOT_SECONDS)
    same("status after a panic", t.end(), 125)


for test in (sizes_and_interrupt, interactive_shell, killed_guest):
    print(test.__name__, flush=True)
    test()

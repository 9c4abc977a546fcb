# SPDX-License-Identifier: BSD-2-Clause
"""Back-ends that are told what to do wrong (tests/mount/hostile.c, tests/vm/liar.c)."""
import atexit
import os
import subprocess

from guest import END_SECONDS, same

BUILD = os.environ["CAUSEWAY_PLAIN_BUILD"]


class BackEnd:
    """A program that serves one front-end, and takes what it is to do wrong as a line."""

    def __init__(self, program, name, *words):
        self.name = name
        self.socket = os.path.abspath(f"{name}.sock")
        self.process = subprocess.Popen([os.path.join(BUILD, program), self.socket, *words],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        atexit.register(self.kill)
        same("said", self.process.stdout.readline(), "listening\n")

    def set(self, words):
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()
        same("said", self.process.stdout.readline(), "set\n")

    def end(self):
        """When its front-end has gone."""
        self.process.stdin.close()
        same(f"status of {self.name}", self.process.wait(END_SECONDS), 0)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

# SPDX-License-Identifier: BSD-2-Clause
"""tests/vm/mapper at work, in guests and on the host: it reads, writes and maps files as it is told,
and answers each command in a line."""
import atexit
import os
import shutil
import subprocess
import zlib

from guest import COMMAND_SECONDS, check, quote, same

# A copy in the test's directory: a guest sees that one, wherever the build is.
PROGRAM = os.path.abspath("mapper")
shutil.copy(os.path.join(os.environ["CAUSEWAY_PLAIN_BUILD"], "tests/vm/mapper"), PROGRAM)


def pattern(offset, length, seed):
    """The bytes that the commands fill and write put there."""
    first, last = offset // 16, (offset + length + 15) // 16
    text = "".join(f"{seed:08x}{i:08x}" for i in range(first, last)).encode()
    return text[offset - first * 16:][:length]


def checksum(data):
    """What the commands load and read answer."""
    return f"{zlib.crc32(data):08x}"


def words(count):
    """The content of a file before the command hammer: each word knows its number."""
    return b"".join((i << 8).to_bytes(8, "little") for i in range(count))


class Mapper:
    """Commands and answers; those who inherit carry them."""

    def tell(self, commands):
        """Starts commands."""
        raise NotImplementedError

    def answers(self, count, seconds):
        raise NotImplementedError

    def ask(self, *commands, seconds=COMMAND_SECONDS):
        """The answers of commands, in a list."""
        self.tell(commands)
        got = self.answers(len(commands), seconds)
        same(f"number of answers to {commands[:3]}", len(got), len(commands))
        return got

    def do(self, command, want="0", seconds=COMMAND_SECONDS):
        """A command that has to answer so."""
        same(command, self.ask(command, seconds=seconds)[0], want)

    def has(self, command, data, seconds=COMMAND_SECONDS):
        """load or read of a range whose content is known."""
        self.do(command, checksum(data), seconds)


class Here(Mapper):
    """On the host."""

    def __init__(self):
        self.process = subprocess.Popen([PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, bufsize=1)
        atexit.register(self.end)

    def tell(self, commands):
        self.process.stdin.write("".join(c + "\n" for c in commands))
        self.process.stdin.flush()

    def answers(self, count, seconds):
        lines = [self.process.stdout.readline() for _ in range(count)]
        check(all(lines), f"the mapper on the host ended: {lines}")
        return [line[:-1] for line in lines]

    def end(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class There(Mapper):
    """In a guest, between two pipes; up to three in each."""

    def __init__(self, guest):
        self.guest = guest
        self.number = guest.mappers = getattr(guest, "mappers", -1) + 1
        check(self.number < 3, "a shell has no more descriptors")
        self.input, self.output = 3 + 2 * self.number, 4 + 2 * self.number
        pipe = f"/tmp/mapper{self.number}"
        # None keeps the pipes of another open.
        closed = " ".join(f"{n}>&-" for n in range(3, 9))
        guest.run(f"rm -f {pipe}.in {pipe}.out; mkfifo {pipe}.in {pipe}.out")
        guest.send(f"{PROGRAM} <{pipe}.in >{pipe}.out {closed} & "
                   f"exec {self.input}>{pipe}.in {self.output}<{pipe}.out\n")

    def tell(self, commands):
        # Few enough that neither pipe is full before the other is read.
        for i in range(0, len(commands), 50):
            self.guest.run(f"printf '%s\\n' {' '.join(map(quote, commands[i:i + 50]))} "
                           f">&{self.input}")

    def answers(self, count, seconds):
        text = self.guest.run(f"for i in $(seq {count}); do read -r x <&{self.output} || break; "
                              "echo \"$x\"; done", seconds)
        return text.splitlines()

    def end(self):
        """Its files and mappings go with it."""
        self.guest.run(f"exec {self.input}>&- {self.output}<&-")
        self.guest.mappers -= 1

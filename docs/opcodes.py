#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes docs/opcodes.md: every opcode, INIT flag, FOPEN flag and notification of FUSE, every protocol
feature of vhost-user, and what we do with it.

Numbers come from <linux/fuse.h> and proto/fuse_new.h, what is served from proto/fuse_ops.h, flags
and their reasons from src/fuse/cache.c, the rest from docs/opcodes.txt. Run it after a change to
one of them; tests/static/opcodes.py holds that it was run, and that nothing is missing.
"""
import collections
import os
import re
import subprocess
import sys

COMMAND = "docs/opcodes.py"
PAGE, NOTES = "docs/opcodes.md", "docs/opcodes.txt"
OPS, NEW, CACHE = "proto/fuse_ops.h", "proto/fuse_new.h", "src/fuse/cache.c"
WINDOW = "src/vhost/shmem.h"
MESSAGES, FLAG_TEST = "src/vhost/messages.c", "tests/unit/test_fuse_init.c"
# Bit 31 of INIT's flags, which the protocol keeps free for good.
NO_FLAGS = {"FUSE_INIT_RESERVED"}

Note = collections.namedtuple("Note", "since linux tests note")
Flag = collections.namedtuple("Flag", "files directories why")

INTRO = f"""\
# Opcodes and flags of FUSE

Made by `{COMMAND}` from `{OPS}`, `{CACHE}`, the header of the kernel and `{NOTES}`: change those.

## Opcodes

What is not served is answered with ENOSYS, after which Linux does not ask again or does without. "Since" is the minor
version of the protocol and the first Linux release with the opcode. Tests are the files below `tests/` that send it by its
name; `proto/ops.py` holds the requests that `proto/test_fuse.py` sends and spoils. The cases in `tests/fs` and `tests/vm`
make a guest's kernel send the rest of them, without naming any.

| number | opcode | since | Linux | what we do | tests |
|---|---|---|---|---|---|
"""
INIT_INTRO = f"""
## INIT flags

A flag is in force when the guest offers it and the condition holds. `{FLAG_TEST}` names each that is offered, and holds that
in no cache mode another is.

| bit | flag | offered | why |
|---|---|---|---|
"""
OPEN_INTRO = """
## FOPEN flags

What the reply to OPEN, CREATE and OPENDIR carries.

| bit | flag | files | directories | why |
|---|---|---|---|---|
"""
NOTIFY_INTRO = """
## Notifications

None is sent: Linux takes no notifications over virtio.

| number | notification | what for |
|---|---|---|
"""
VHOST_INTRO = f"""
## Protocol features of vhost-user

What `{MESSAGES}` offers to the front-end, the VMM.

| bit | feature | offered | what for, or why not |
|---|---|---|---|
"""


class Wrong(Exception):
    """Something that the sources do not say, or not in the form that is read here."""


def read(root, name):
    with open(os.path.join(root, name), encoding="utf-8") as f:
        return f.read()


def kernel_header(root):
    """The text of the <linux/fuse.h> that the compiler takes."""
    deps = subprocess.run(["cc", "-M", "-I", root, os.path.join(root, NEW)],
                          stdout=subprocess.PIPE, check=True, text=True).stdout
    return read("/", next(d for d in deps.split() if d.endswith("/linux/fuse.h")))


def short(name):
    return name.removeprefix("FUSE_").removeprefix("FOPEN_")


class Headers:
    """Constants by their full names: opcodes → number, init and fopen → bit."""

    def __init__(self, root):
        kernel, new = kernel_header(root), read(root, NEW)
        m = re.search(r"enum fuse_opcode \{(.*?)\n\};", kernel, re.S)
        opcodes = re.findall(r"^\s*(\w+)\s*=\s*(\d+)", m.group(1), re.M)
        opcodes += re.findall(r"^#define (FUSE_(?!MINOR_)\w+)\s+(\d+)$", new, re.M)
        self.notifications = {n: int(v) for n, v in re.findall(
            r"\bFUSE_NOTIFY_(?!REPLY)(\w+)\s*=\s*(\d+)", kernel + new)}
        self.opcodes = dict(sorted(((n, int(v)) for n, v in opcodes), key=lambda o: o[1]))
        # The definitions between the comment on INIT's flags and the comment after them.
        block = re.search(r"\* INIT request/reply flags\n.*?\*/\n(.*?)\n/\*\*", kernel, re.S)
        self.init = self.bits("FUSE_", block.group(1) + new)
        self.fopen = self.bits("FOPEN_", kernel + new)
        for name in NO_FLAGS:
            self.init.pop(name, None)
        if len(self.opcodes) < 50 or len(self.init) < 40 or len(self.fopen) < 8:
            raise Wrong(f"{COMMAND} does not understand the form of <linux/fuse.h> or {NEW}")
        self.since = self.changelog(kernel)

    @staticmethod
    def bits(prefix, text):
        found = re.findall(rf"^#define ({prefix}\w+)\s+\(1(?:ull)? << (\d+)\)", text,
                           re.M | re.I)
        return dict(sorted(((n, int(v)) for n, v in found), key=lambda f: f[1]))

    @staticmethod
    def changelog(kernel):
        """Name → version that first mentions it, as far as the header's changelog does."""
        since, version = {}, None
        for line in kernel[:kernel.index("#define")].splitlines():
            m = re.match(r" \*\s+(7\.\d+):?$", line)
            version = m.group(1) if m else version
            for name in re.findall(r"\bFUSE_\w+\b", line):
                since.setdefault(name, version)
        return since


def read_ops(root):
    """Name → flags, of the operations that are served."""
    rows = re.findall(r"^\s*X\((\w+),.*?,\s*(0|[A-Z_ |]+)\)\s*\\?$", read(root, OPS), re.M)
    if len(rows) != len(re.findall(r"^\s*X\(", read(root, OPS), re.M)):
        raise Wrong(f"{OPS} has a line that {COMMAND} does not understand")
    return {name: set(re.findall(r"\w+", flags)) for name, flags in rows}


def read_notes(root):
    """Conditions (function → words) and opcodes (name → Note) of docs/opcodes.txt."""
    conditions, notes, notifications, features = {}, {}, {}, {}
    for number, line in enumerate(read(root, NOTES).splitlines(), 1):
        fields = [f.strip() for f in line.split("|")]
        head = fields[0].removeprefix("condition ").strip()
        if not line or line.startswith("#"):
            continue
        if head in conditions or head in notes:
            raise Wrong(f"{NOTES}:{number}: {head} has a line already")
        if line.startswith("condition ") and len(fields) == 2:
            conditions[head] = fields[1]
        elif line.startswith("notification ") and len(fields) == 2:
            notifications[head.removeprefix("notification ").strip()] = fields[1]
        elif line.startswith("feature ") and len(fields) == 3:
            features[head.removeprefix("feature ").strip()] = (int(fields[1]), fields[2])
        elif len(fields) == 5:
            notes[head] = Note(fields[1], fields[2], fields[3].split(), fields[4])
        else:
            raise Wrong(f"{NOTES}:{number}: neither a condition nor five fields")
    return conditions, notes, notifications, features


def read_offered(root):
    """Names of the protocol features that are offered."""
    m = re.search(r"offered_protocol_features\(.*?\n\{(.*?)\n\}", read(root, MESSAGES), re.S)
    offered = set(re.findall(r"\bVU_PROTOCOL_F_(\w+)", m.group(1))) if m else set()
    if not offered:
        raise Wrong(f"{COMMAND} finds no offered_protocol_features() in {MESSAGES}")
    m = re.search(r"define VHOST_SHMEM_FEATURES((?:.*\\\n)*.*\n)", read(root, WINDOW))
    if not m:
        raise Wrong(f"{COMMAND} finds no VHOST_SHMEM_FEATURES in {WINDOW}")
    offered |= set(re.findall(r"\bVU_PROTOCOL_F_(\w+)", m.group(1)))
    return offered


def read_flags(root, table):
    """Name → Flag, of one table of src/fuse/cache.c."""
    m = re.search(rf"fuse_flag_info {table}\[\] = {{(.*?)\n}};", read(root, CACHE), re.S)
    # Names and conditions, then strings that may go on in the next line.
    rows = re.findall(r'^\s*FLAG\(((?:\w+,\s*)+)((?:"(?:[^"\\]|\\.)*"\s*)+)\)', m.group(1), re.M)
    if len(rows) != len(re.findall(r"^\s*FLAG\(", m.group(1), re.M)):
        raise Wrong(f"{CACHE} has a line in {table}[] that {COMMAND} does not understand")
    flags = {}
    for words, texts in rows:
        name, files, *more = re.findall(r"\w+", words)
        why = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', texts)).replace('\\"', '"')
        flags[name] = Flag(files, more[0] if more else "NULL", why)
    return flags


class Sources:
    """All that goes into the page."""

    def __init__(self, root):
        self.root = root
        self.headers = Headers(root)
        self.ops = read_ops(root)
        self.conditions, self.notes, self.notifications, self.features = read_notes(root)
        self.offered = read_offered(root)
        self.flag_test = read(root, FLAG_TEST)
        self.init = read_flags(root, "init_flags")
        self.fopen = read_flags(root, "open_flags")

    def when(self, condition):
        return "no" if condition == "NULL" else self.conditions[condition]


def names_opcode(root, path, full):
    """Whether a file below tests/ names an opcode: FUSE_NAME in C, "NAME" in Python."""
    text = read(root, os.path.join("tests", path))
    pattern = rf"\b{full}\b" if path.endswith(".c") else rf"""["']{short(full)}["']"""
    return re.search(pattern, text) is not None


def opcode_problems(s, full):
    name, note = short(full), s.notes[short(full)]
    if not re.fullmatch(r"7\.\d+", note.since) or not re.fullmatch(r"\d+(\.\d+)+", note.linux):
        yield f"{NOTES}: {name}: since {note.since}, Linux {note.linux}: not versions"
    if s.headers.since.get(full, note.since) != note.since:
        yield f"{NOTES}: {name} is of {s.headers.since[full]}, by <linux/fuse.h>"
    if name not in s.ops and not note.note:
        yield f"{NOTES}: {name} is not in {OPS}: say in its note why it is not served"
    if not note.tests:
        yield f"{NOTES}: {name} has no test: name one that sends it"
    for path in note.tests:
        if not os.path.isfile(os.path.join(s.root, "tests", path)):
            yield f"{NOTES}: {name}: there is no tests/{path}"
        elif not names_opcode(s.root, path, full):
            yield f"{NOTES}: {name}: tests/{path} does not name it"


def flag_problems(s, prefix, table, known, listed):
    names = {prefix + n for n in listed}
    for full in known.keys() - names:
        yield f"{full} has no line in {table}[] of {CACHE}: say whether it is offered, and why"
    for full in names - known.keys():
        yield f"{CACHE}: {table}[] has {full}, which <linux/fuse.h> and {NEW} do not define"
    for name, flag in listed.items():
        for condition in {flag.files, flag.directories} - s.conditions.keys() - {"NULL"}:
            yield f"{name} of {CACHE} depends on {condition}(): add `condition {condition} | ...`" \
                  f" to {NOTES}, then run {COMMAND}"
        if {flag.files, flag.directories} != {"NULL"} and \
                not re.search(rf"\b{prefix}{name}\b", s.flag_test):
            yield f"{FLAG_TEST} does not name {prefix}{name}, which is offered: test when it is"


def problems(s):
    """What keeps the page from being whole, a line for each."""
    known = {short(n) for n in s.headers.opcodes}
    for name in sorted(known - s.notes.keys()):
        yield f"opcode {name} has no line in {NOTES}: add it, then run {COMMAND}"
    for name in sorted((s.notes.keys() | s.ops.keys()) - known):
        yield f"{name} of {NOTES} or {OPS} is no opcode of <linux/fuse.h> and {NEW}"
    for full in s.headers.opcodes:
        if short(full) in s.notes:
            yield from opcode_problems(s, full)
    yield from sorted(flag_problems(s, "FUSE_", "init_flags", s.headers.init, s.init))
    yield from sorted(flag_problems(s, "FOPEN_", "open_flags", s.headers.fopen, s.fopen))
    for name in sorted(s.headers.notifications.keys() ^ s.notifications.keys()):
        yield f"notification {name} is not in {NOTES}, or not in <linux/fuse.h> and {NEW}"
    for name in sorted(s.offered - s.features.keys()):
        yield f"feature {name} has no line in {NOTES}: add it, then run {COMMAND}"
    used = {c for f in (*s.init.values(), *s.fopen.values()) for c in (f.files, f.directories)}
    for condition in sorted(s.conditions.keys() - used):
        yield f"{NOTES}: no flag of {CACHE} depends on {condition}(): remove its line"


def what(s, name):
    note = s.notes[name].note
    if name not in s.ops:
        return f"ENOSYS: {note}"
    told = {"FUSE_OP_CHANGES": "EROFS on a read-only export", "FUSE_OP_NO_REPLY": "never answered",
            "FUSE_OP_EARLY": "also before INIT"}
    more = [text for flag, text in told.items() if flag in s.ops[name]]
    return "; ".join([f"served {note}".strip()] + more)


def row(*cells):
    return "| " + " | ".join(str(c).replace("|", "\\|") for c in cells) + " |\n"


def render(s):
    page = INTRO
    for full, number in s.headers.opcodes.items():
        name = short(full)
        note = s.notes[name]
        page += row(number, name, note.since, note.linux, what(s, name), ", ".join(note.tests))
    page += INIT_INTRO
    for full, bit in s.headers.init.items():
        flag = s.init[short(full)]
        page += row(bit, short(full), s.when(flag.files), flag.why)
    page += OPEN_INTRO
    for full, bit in s.headers.fopen.items():
        flag = s.fopen[short(full)]
        page += row(bit, short(full), s.when(flag.files), s.when(flag.directories), flag.why)
    page += NOTIFY_INTRO
    for name, number in sorted(s.headers.notifications.items(), key=lambda n: n[1]):
        page += row(number, name, s.notifications[name])
    page += VHOST_INTRO
    for name, (bit, note) in s.features.items():
        page += row(bit, name, "yes" if name in s.offered else "no", note)
    return page


def make(root):
    """The page's text; raises Wrong with a line for each thing that is missing."""
    sources = Sources(root)
    wrong = list(problems(sources))
    if wrong:
        raise Wrong("\n".join(wrong))
    return render(sources)


def main():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    try:
        page = make(root)
    except Wrong as e:
        sys.exit(str(e))
    with open(os.path.join(root, PAGE), "w", encoding="utf-8") as f:
        f.write(page)


if __name__ == "__main__":
    main()

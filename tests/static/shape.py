# SPDX-License-Identifier: BSD-2-Clause
"""The shape of the source: a licence line first, files of 400 lines at most, functions of 70,
lines of 100 columns. A row of a table may be as wide as it needs."""
import os
import re
import subprocess
import sys

ROOT = os.environ["CAUSEWAY_SRC"]
PROGRAMS = ("src/", "proto/", "tools/", "include/", "kmod/")
FILE_LINES, FUNCTION_LINES, COLUMNS = 400, 70, 100
LICENCE = "SPDX-License-Identifier: "
NEEDS_LICENCE = (".c", ".h", ".py", ".sh", "meson.build", "check", "run", ".ci/run", "tools/setup",
                 "Makefile")
# The guest module is for the kernel.
BOTH = "GPL-2.0-only OR BSD-2-Clause"


def tracked():
    out = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "--cached"],
                         stdout=subprocess.PIPE, check=True).stdout
    names = [n for n in out.decode().split("\0") if n]
    return [n for n in names if os.path.isfile(os.path.join(ROOT, n))]


def check_licence(name, lines, wrong):
    if not name.endswith(NEEDS_LICENCE):
        return
    head = lines[1] if lines and lines[0].startswith("#!") and len(lines) > 1 else \
        lines[0] if lines else ""
    want = BOTH if name.startswith(("kmod/", "proto/")) and BOTH in head else "BSD-2-Clause"
    if not re.search(re.escape(LICENCE + want) + r"( \*/)?$", head):
        wrong.append(f"{name}: no line `{LICENCE}{want}` first")


def functions(lines):
    """(line number, name, length) of functions: a brace in column 0 after a parameter list."""
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{" and number > 1 and re.search(r"\)\s*$|^\s", lines[number - 2]):
            start = number
        elif line.startswith("}") and start:
            signature = " ".join(lines[max(0, start - 4):start - 1])
            name = re.findall(r"(\w+)\s*\(", signature)
            yield start, name[-1] if name else "?", number - start - 1
            start = None


def check_length(name, lines, wrong):
    if name.startswith(PROGRAMS) and len(lines) > FILE_LINES:
        wrong.append(f"{name}: {len(lines)} lines, {FILE_LINES} are the limit")
    if name.endswith(".c"):
        for number, function, length in functions(lines):
            if length > FUNCTION_LINES:
                wrong.append(f"{name}:{number}: {function}() has {length} lines, "
                             f"{FUNCTION_LINES} are the limit")


def check_lines(name, lines, wrong):
    for number, line in enumerate(lines, 1):
        row = line.endswith("\\") or re.match(r"\s*[\[{]", line)
        if len(line.expandtabs(8)) > COLUMNS and not row:
            wrong.append(f"{name}:{number}: over {COLUMNS} columns")
        if line != line.rstrip():
            wrong.append(f"{name}:{number}: blanks at the end")


def check(name, wrong):
    with open(os.path.join(ROOT, name), encoding="utf-8", errors="replace") as f:
        lines = f.read().splitlines()
    check_licence(name, lines, wrong)
    if name.endswith((".c", ".h", ".py")):
        check_length(name, lines, wrong)
    if name.endswith((".c", ".h")):
        check_lines(name, lines, wrong)


wrong = []
names = tracked()
for path in names:
    check(path, wrong)
print("\n".join(wrong) if wrong else f"{len(names)} files are in shape")
sys.exit(1 if wrong or not names else 0)

# SPDX-License-Identifier: BSD-2-Clause
"""A folder includes only what stands before it on the path of a request (design of the source), and in
the module only those files touch virtqueues, and ask for the kernel's version, that are there for it.

The table is the whole rule: folder → folders it may include from, besides itself. A folder that
is not in it fails, so that a new one has to find its place on the path.
"""
import os
import re
import sys

ROOT = os.environ["CAUSEWAY_SRC"]

ALLOWED = {
    "include": "",
    "proto": "",
    "src/base": "",
    "src/metrics": "src/base",
    "src/trace": "src/base proto",
    "src/mem": "src/base proto",
    "src/virtq": "src/base proto src/mem",
    "src/vhost": "src/base proto src/metrics src/mem src/virtq",
    "src/fuse": "src/base proto src/metrics src/trace src/mem src/virtq src/fs src/coherence src/watch",
    "src/fs": "src/base proto src/dax src/coherence",
    "src/fs/passthrough": "src/base proto src/metrics src/fs src/dax src/coherence src/watch",
    "src/dax": "src/base proto",
    "src/coherence": "src/base proto src/metrics",
    "src/watch": "src/base proto src/coherence",
    "src/daemon": "src/base proto src/metrics src/trace src/mem src/virtq src/vhost src/fuse src/fs src/fs/passthrough"
                  " src/dax src/coherence src/watch",
    "src/client": "include src/base proto src/trace src/mem src/virtq src/vhost src/coherence",
    "kmod": "proto",
    "docs/examples": "include",
    "tools": "src/base proto src/trace include tools/vm",
    "tools/vm": "tools src/base src/coherence",
    "tools/top": "tools",
    "tools/mount": "tools src/base proto src/mem src/virtq src/vhost src/client src/coherence",
    "tools/bench": "tools tools/top tools/vm include src/base proto src/mem src/virtq src/vhost",
}
# What is found below kmod/ in these files alone.
ONLY = (
    (re.compile(r"\bvirtqueue_\w+\s*\("), ("kmod/virtio.c",)),
    (re.compile(r"\b(LINUX_VERSION_CODE|KERNEL_VERSION)\b"), ("kmod/compat/",)),
)
# Made when the program is built.
GENERATED = ("daemon/profile.inc",)
# These may include whatever they test.
FREE = ("tests", "fuzz")


def place(folder):
    """The longest entry of the table that holds the folder."""
    while folder and folder not in ALLOWED:
        folder = os.path.dirname(folder)
    return folder


def find(name, folder):
    """Where a quoted include points to, relative to the root; None when it is not ours."""
    for base in (folder, "", "src", "proto", "include", "tools"):
        path = os.path.normpath(os.path.join(base, name))
        if os.path.isfile(os.path.join(ROOT, path)):
            return path
    return None


def includes(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if m:
                yield number, m.group(1)


def check(path, wrong):
    folder = os.path.dirname(path)
    own = place(folder)
    if not own:
        wrong.append(f"{path}: {folder} is not in the table of {os.path.basename(__file__)}")
        return
    may = ALLOWED[own].split() + [own]
    for number, name in includes(path):
        target = find(name, folder)
        if name in GENERATED:
            continue
        if target is None:
            wrong.append(f'{path}:{number}: "{name}" is none of our files')
        elif place(os.path.dirname(target)) not in may:
            wrong.append(f"{path}:{number}: {own} must not include {target}")


def check_only(path, wrong):
    """Of the module's files."""
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        text = f.read()
    for pattern, places in ONLY:
        m = pattern.search(text)
        if m and not path.startswith(places):
            wrong.append(f"{path}: {m.group(0)} belongs to {places[0]}")


def sources():
    for top, folders, files in os.walk(ROOT):
        rel = os.path.relpath(top, ROOT)
        folders[:] = [d for d in folders if not d.startswith((".", "build"))
                      and not (rel == "." and d in FREE)]
        for name in files:
            if name.endswith((".c", ".h")):
                yield os.path.normpath(os.path.join(rel, name))


wrong = []
count = 0
for source in sorted(sources()):
    count += 1
    check(source, wrong)
    if source.startswith("kmod/"):
        check_only(source, wrong)
print("\n".join(wrong) if wrong else f"{count} files keep the rule")
sys.exit(1 if wrong or not count else 0)

# SPDX-License-Identifier: BSD-2-Clause
"""docs/opcodes.md is what docs/opcodes.py makes of the sources now: every opcode, INIT flag,
FOPEN flag and notification of the headers has its row, and so has every vhost-user feature that is
offered; the tests that it names do name the opcode. Then the same on copies of the sources with one fault each, which must be told."""
import difflib
import os
import re
import shutil
import sys

ROOT = os.environ["CAUSEWAY_SRC"]
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "docs"))
import opcodes  # noqa: E402

INPUTS = (opcodes.OPS, opcodes.NEW, opcodes.CACHE, opcodes.NOTES, opcodes.PAGE, opcodes.MESSAGES,
          opcodes.WINDOW)
# (file, pattern, what replaces its first match, what must be told)
FAULTS = (
    (opcodes.NOTES, r"(?m)^POLL .*\n", "", "opcode POLL has no line"),
    (opcodes.NOTES, r"(?m)^POLL .*\n", r"\g<0>\g<0>", "POLL has a line already"),
    (opcodes.NOTES, r"(?m)^POLL ", "POOL ", "POOL .* is no opcode"),
    (opcodes.NOTES, r"unit/test_fuse_calls.c", "unit/test_none.c", "there is no tests/unit/test_none.c"),
    (opcodes.NOTES, r"(?m)^(BMAP .*)proto/ops.py", r"\1proto/test_rings.py", "test_rings.py does not name"),
    (opcodes.NOTES, r"(?m)^(BMAP .*)proto/ops.py", r"\1", "BMAP has no test"),
    (opcodes.NOTES, r"(?m)^(BMAP .*\|).*$", r"\1", "why it is not served"),
    (opcodes.NOTES, r"(?m)^(LSEEK +\| )7.24", r"\g<1>7.23", "LSEEK is of 7.24"),
    (opcodes.NOTES, r"(?m)^condition if_xattr .*\n", "", r"depends on if_xattr\(\)"),
    (opcodes.NOTES, r"(?m)^condition ", "condition if_never | never\n\\g<0>", r"depends on if_never\(\)"),
    (opcodes.OPS, r"X\(SYNCFS,", "X(SYNCFILES,", "SYNCFILES .* is no opcode"),
    (opcodes.OPS, r"(?m)^(\tX\(SYNCFS,.*)FUSE_OP_SLEEPS\)", r"\1ONE(2))", "does not understand"),
    (opcodes.NEW, r"(?m)^#define FUSE_STATX .*\n", "\\g<0>#define FUSE_NEXT 99\n", "opcode NEXT has no line"),
    (opcodes.NEW, r"(?m)^#define FUSE_ALLOW_IDMAP .*\n", "\\g<0>#define FUSE_NEXT (1ull << 50)\n",
     r"FUSE_NEXT has no line in init_flags\[\]"),
    (opcodes.CACHE, r"\tFLAG\(INIT_EXT,.*\n", "", r"FUSE_INIT_EXT has no line in init_flags\[\]"),
    (opcodes.CACHE, r"\tFLAG\(NOFLUSH,.*\n", "", r"FOPEN_NOFLUSH has no line in open_flags\[\]"),
    (opcodes.CACHE, r"FLAG\(NOFLUSH,", "FLAG(NOFLASH,", "FOPEN_NOFLASH, which .* do not define"),
    (opcodes.CACHE, r"FLAG\(BIG_WRITES, always, \"", "FLAG(BIG_WRITES, always, WHY \"", "does not understand"),
    (opcodes.CACHE, r"writes larger than a page", "larger writes", "is not up to date"),
    (opcodes.CACHE, r"FLAG\(BIG_WRITES, always", "FLAG(BIG_WRITES, NULL", "is not up to date"),
    (opcodes.OPS, r"(?m)^\tX\(ACCESS,.*\n", "", "ACCESS is not in"),
    (opcodes.OPS, r"(?m)^(\tX\(ACCESS,.*)0\)", r"\1FUSE_OP_CHANGES)", "is not up to date"),
    (opcodes.CACHE, r"FLAG\(ABORT_ERROR, NULL", "FLAG(ABORT_ERROR, always", "does not name FUSE_ABORT_ERROR"),
    (opcodes.NOTES, r"(?m)^notification STORE .*\n", "", "notification STORE is not in"),
    (opcodes.NOTES, r"(?m)^feature MQ .*\n", "", "feature MQ has no line"),
    (opcodes.MESSAGES, r"VU_PROTOCOL_F_MQ", "VU_PROTOCOL_F_SHMEM", "is not up to date"),
    (opcodes.MESSAGES, r"offered_protocol_features", "given_features", "finds no offered_protocol_features"),
    (opcodes.PAGE, r"\| LOOKUP \|", "| LOOK |", "is not up to date"),
)


def verdict(root):
    """What is wrong with the page of a tree, or an empty string."""
    try:
        want = opcodes.make(root)
    except opcodes.Wrong as e:
        return str(e)
    have = opcodes.read(root, opcodes.PAGE)
    if have == want:
        return ""
    diff = difflib.unified_diff(have.splitlines(), want.splitlines(), "have", "want", "", "", 0, "")
    return "\n".join([f"{opcodes.PAGE} is not up to date: run {opcodes.COMMAND}", *diff])


def faulty(path, pattern, replacement):
    """A tree that is ours but for one place."""
    shutil.rmtree("tree", ignore_errors=True)
    for name in INPUTS:
        os.makedirs(os.path.dirname(f"tree/{name}"), exist_ok=True)
        shutil.copy(f"{ROOT}/{name}", f"tree/{name}")
    os.symlink(f"{ROOT}/tests", "tree/tests")
    text, count = re.subn(pattern, replacement, opcodes.read("tree", path), count=1)
    if not count:
        sys.exit(f"{path} has nothing like {pattern!r} any more: adapt this test")
    with open(f"tree/{path}", "w", encoding="utf-8") as f:
        f.write(text)
    return os.path.abspath("tree")


told = verdict(ROOT)
if told:
    sys.exit(told)
for fault in FAULTS:
    told = verdict(faulty(*fault[:3]))
    if not re.search(fault[3], told):
        sys.exit(f"{fault[0]} with {fault[1]!r} changed: not told {fault[3]!r}, but:\n{told}")
print(f"the page is up to date; {len(FAULTS)} faults are told")

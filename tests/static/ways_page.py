# SPDX-License-Identifier: BSD-2-Clause
"""What tests/lib/ways.py leaves out and explains is of cases that there are, docs/ways.md tells each
with its reason and nothing else, what the library never sends a test sends, and what causeway.ko does not send for the cases is said, with
a test where there is one; then the same on
copies of the page with one fault each, which must be told."""
import os
import re
import sys

import faulty
import ways

ROOT = os.environ["CAUSEWAY_SRC"]
PAGE = "docs/ways.md"
LEFT_OUT, DIFFERS, UNSENT, KMOD_UNSENT = (
    "## Cases that libcauseway leaves out", "## Lines that differ there", "## Requests that they never make",
    "## Requests that causeway.ko does not make for them")
# (what is replaced once, by what, what must be told)
FAULTS = (
    ("`use-fifo`, ", "", "only in tests/lib/ways.py: use-fifo | all"),
    ("`map-modes`, ", "`map-modes`, `no-such`, ", "only in docs/ways.md: no-such | all"),
    ("the time of birth came with FUSE 7.39", "it varies", "only in docs/ways.md: statx"),
    ("| virtiofsd | virtiofsd lists", "| all | virtiofsd lists",
     "only in tests/lib/ways.py: removed-directory | virtiofsd"),
    ("proto/test_ioctl.py", "proto/test_fuse.py", "only in tests/lib/ways.py: IOCTL"),
    ("| IOCTL | vm/test_kmod_features.py", "| IOCTL | vm/test_kmod_life.py", "only in docs/ways.md: IOCTL"),
)


def rows(page, head):
    """The rows of the table below a heading, as lists of cells."""
    text = page.partition(head + "\n")[2].partition("\n## ")[0]
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines()
             if line.startswith("| ")]
    return cells[1:]


def told(page, head):
    """`case | where | reason` for each case of each row of a table with those columns."""
    return {f"{name.strip(' `')} | {where.strip()} | {reason}" for names, places, reason in
            rows(page, head) for name in names.split(",") for where in places.split(",")}


def differences(what, have, want):
    yield from (f"{what}: only in {PAGE}: {line}" for line in sorted(have - want))
    yield from (f"{what}: only in tests/lib/ways.py: {line}" for line in sorted(want - have))


def wrong(page):
    left_out = {f"{e.case} | {e.where} | {e.reason}" for e in ways.EXCLUDED}
    yield from differences("cases left out", told(page, LEFT_OUT), left_out)
    differ = {f"{e.line.split(': ')[0]} | {where} | {e.reason}"
              for e in ways.EXPLAINED for where in e.modes}
    yield from differences("lines that differ", told(page, DIFFERS), differ)
    unsent = {f"{opcode} | {test}" for opcode, test in ways.UNSENT.items()}
    yield from differences("requests", {" | ".join(r) for r in rows(page, UNSENT)}, unsent)
    unsent = {f"{opcode} | {reason}" for opcode, reason in ways.KMOD_UNSENT.items()}
    yield from differences("requests of causeway.ko", {" | ".join(r) for r in rows(page, KMOD_UNSENT)}, unsent)


def wrong_tables():
    known = ways.case_names(ROOT)
    places = {p for run in ways.RUNS.values() for p in run}
    for e in ways.EXCLUDED:
        if e.case not in known:
            yield f"there is no case {e.case}"
        if e.where not in places:
            yield f"{e.case}: there is no place {e.where}"
    for e in ways.EXPLAINED:
        if e.line.split(": ")[0] not in known or not set(e.modes) <= places:
            yield f"{e.line}: no such case, or no such place: {e.modes}"
    for opcode in (set(ways.UNSENT) | set(ways.KMOD_UNSENT)) - ways.served_opcodes(ROOT):
        yield f"{opcode} is none that is served"
    for test in re.findall(r"vm/\S+", " ".join(ways.KMOD_UNSENT.values())):
        if not os.path.exists(os.path.join(ROOT, "tests", test)):
            yield f"there is no tests/{test}"
    for opcode, test in ways.UNSENT.items():
        with open(os.path.join(ROOT, "tests", test), encoding="utf-8") as f:
            if not re.search(rf"\b(FUSE_)?{opcode}\b", f.read()):
                yield f"tests/{test} does not name {opcode}"


def main():
    with open(os.path.join(ROOT, PAGE), encoding="utf-8") as f:
        page = f.read()
    found = list(wrong_tables()) + list(wrong(page))
    if found:
        sys.exit("\n".join(found))
    faulty.must_be_told(PAGE, page, FAULTS, wrong)
    print(f"{len(ways.EXCLUDED)} cases left out, {len(ways.EXPLAINED)} lines that differ; "
          f"{len(FAULTS)} faults are told")


main()

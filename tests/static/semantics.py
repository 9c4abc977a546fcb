# SPDX-License-Identifier: BSD-2-Clause
"""docs/semantics.md names only cases and tests that there are, and at least one for each promise;
then the same on copies of the page with one fault each, which must be told."""
import os
import re
import sys

import faulty
import ways

ROOT = os.environ["CAUSEWAY_SRC"]
PAGE = "docs/semantics.md"
# (what is replaced once, by what, what must be told)
FAULTS = (
    ("`sticky`", "`stick`", "no case stick"),
    ("vm/test_xattr.py", "vm/test_none.py", "no test vm/test_none.py"),
    ("`list-types`", "", "d_type: nothing shows it"),
    ("`holes`,", "see below,", "neither a case nor a test: see below"),
)


def wrong(text, known):
    rows = re.findall(r"(?m)^\| (.+?) \| *(.*?) *\|$", text)[1:]
    if not rows:
        yield "no rows"
    for promise, cell in rows:
        names = [n.strip() for n in cell.split(",") if n.strip()]
        if not names:
            yield f"{promise}: nothing shows it"
        for name in names:
            if re.fullmatch(r"`[^`]+`", name):
                if name[1:-1] not in known:
                    yield f"{promise}: no case {name[1:-1]}"
            elif not re.fullmatch(r"\w+/\w+\.(py|c)", name):
                yield f"{promise}: neither a case nor a test: {name}"
            elif not os.path.isfile(os.path.join(ROOT, "tests", name)):
                yield f"{promise}: no test {name}"


def main():
    known = ways.case_names(ROOT)
    with open(os.path.join(ROOT, PAGE), encoding="utf-8") as f:
        page = f.read()
    told = list(wrong(page, known))
    if told:
        sys.exit("\n".join([f"{PAGE}:"] + told))
    faulty.must_be_told(PAGE, page, FAULTS, lambda text: wrong(text, known))
    print(f"{len(known)} cases; {len(FAULTS)} faults are told")


main()

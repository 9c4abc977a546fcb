# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=120
"""The cases on host directories: their transcript is the same on every run, and the comparison
notices each kind of difference. (A transcript that varies, or a comparison that sees nothing,
would make every comparison with a guest worthless.)"""
import os
import sys

import fscompare

HOST = []


def fail(text):
    print(text)
    sys.exit(1)


os.mkdir("a")
os.mkdir("b")
first = fscompare.run_here("a")
second = fscompare.run_here("b")
for line in fscompare.differences(first, second, "auto", HOST):
    fail(f"differs between two runs: {line}")
if os.listdir("a") or os.listdir("b"):
    fail("the cases left files behind")
if len(first) < 1000:
    fail(f"only {len(first)} lines")
bad = [f"{k} = {v}" for k, v in first.items() if k.endswith(": end") or "child = status" in k]
if bad:
    fail("\n".join(bad))

key = next(iter(first))
reason = fscompare.Explained(key, "else", None, "a reason")
changed = {**first, key: "else"}
missing = {k: v for k, v in first.items() if k != key}
for what, transcript, table, expected in (
        ("a changed line", changed, HOST, 1),
        ("a missing line", missing, HOST, 1),
        ("a line too many", {**first, "x: y": "0"}, HOST, 1),
        ("an explained line", changed, [reason], 0),
        ("an explanation that is not needed", first, [reason], 1),
        ("an explained line that is wrong", {**first, key: "other"}, [reason], 1),
        ("an explanation of nothing", first, [reason._replace(line="write-read: no such")], 1),
        ("an explanation for another mode", first, [reason._replace(modes=("none",))], 0)):
    found = fscompare.differences(first, transcript, "auto", table)
    if len(found) != expected:
        fail(f"{what}: {len(found)} differences found, not {expected}: {found}")
print(f"{len(first)} lines agree")

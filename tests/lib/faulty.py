# SPDX-License-Identifier: BSD-2-Clause
"""For tests of a page: that they tell what is wrong with one."""
import sys


def must_be_told(name, page, faults, wrong):
    """faults: (what is replaced once, by what, what must be told) each, in copies of the page. wrong():
    what is told of a page, line by line."""
    for old, new, want in faults:
        if old not in page:
            sys.exit(f"{name} has no {old!r} any more: adapt this test")
        told = "\n".join(wrong(page.replace(old, new, 1)))
        if want not in told:
            sys.exit(f"{name} with {old!r} changed: not told {want!r}, but: {told}")

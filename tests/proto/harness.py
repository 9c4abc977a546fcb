# SPDX-License-Identifier: BSD-2-Clause
"""Runs the cases of one test file and prints one line for each.

A case is a function without arguments. It fails by raising; everything it started is taken down
afterwards whatever happened, and a daemon that died badly or left a sanitizer report fails the
case even when the case itself was content.
"""

import errno
import os
import shutil
import sys
import tempfile
import time
import traceback

HANG = float(os.environ.get("PROTO_HANG", "60"))

_cases = []
_cleanups = []


class Skip(Exception):
    """The case can't run here; the text says why."""


class Failure(AssertionError):
    """Something was not as it must be."""


def add(name, fn, *args, **kwargs):
    _cases.append((name, fn, args, kwargs))


def case(name):
    """Decorator: registers a function under a name that says what it holds."""
    def register(fn):
        add(name, fn)
        return fn
    return register


def at_end(fn, *args):
    """Calls fn after the case that is running, last registered first."""
    _cleanups.append((fn, args))


def check(condition, *text):
    if not condition:
        raise Failure(" ".join(str(t) for t in text) or "check failed")


def equal(got, want, *text):
    if got != want:
        raise Failure(" ".join(str(t) for t in text) + f": got {got!r}, want {want!r}")


def among(got, want, *text):
    if got not in want:
        raise Failure(" ".join(str(t) for t in text) + f": got {got!r}, want one of {want!r}")


def errname(err):
    """-errno or 0 as text, for messages."""
    if err is None:
        return "no reply"
    return "0" if err == 0 else "-" + errno.errorcode.get(-err, str(-err))


def tempdir():
    path = tempfile.mkdtemp(prefix="cw-proto-")
    at_end(shutil.rmtree, path, True)
    return path


def until(what, predicate, pause=0.005):
    """Waits for a state that has no descriptor to poll (a /proc value), within the hang limit."""
    end = time.monotonic() + HANG
    while not predicate():
        if time.monotonic() > end:
            raise Failure(f"hang: {what}")
        time.sleep(pause)


def _cleanup():
    problems = []
    while _cleanups:
        fn, args = _cleanups.pop()
        try:
            fn(*args)
        except Exception as e:  # a daemon's bad end is reported, the next cleanup still runs
            problems.append(e)
    return problems


def _run_one(name, fn, args, kwargs):
    start = time.monotonic()
    error = trace = None
    try:
        fn(*args, **kwargs)
    except Skip as e:
        _cleanup()
        print(f"skip  {name}: {e}", flush=True)
        return "skip"
    except Exception as e:
        error, trace = e, traceback.format_exc()
    problems = _cleanup()
    if error is None and not problems:
        print(f"ok    {name} ({(time.monotonic() - start) * 1000:.0f} ms)", flush=True)
        return "ok"
    for e in ([error] if error else []) + problems:
        print(f"FAIL  {name}: {type(e).__name__}: {e}", flush=True)
    if trace:
        print("      " + trace.replace("\n", "\n      "), flush=True)
    return "FAIL"


def main():
    """Runs all cases, or those whose name contains one of the arguments; exits. PROTO_FIRST in
    the environment ends it at the first failure."""
    wanted = sys.argv[1:]
    counts = {"ok": 0, "FAIL": 0, "skip": 0}
    for name, fn, args, kwargs in _cases:
        if not wanted or any(w in name for w in wanted):
            counts[_run_one(name, fn, args, kwargs)] += 1
            if counts["FAIL"] and os.environ.get("PROTO_FIRST"):
                break
    print(f"{counts['ok']} ok, {counts['FAIL']} failed, {counts['skip']} skipped")
    sys.exit(1 if counts["FAIL"] or not counts["ok"] + counts["skip"] else
             77 if not counts["ok"] else 0)

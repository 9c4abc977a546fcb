# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain full-builds=tsan timeout=240
"""`causeway bench --shared`, in runs so short that they measure nothing: each way of caching has its
numbers. What they count does not depend on time: nothing is asked for what is kept while nothing
changes; with cache=shared a change of another client costs one request, and whatever is the same
slot's; the others see none. A server without a table is told; nothing is left behind; options that
mean nothing with it are refused."""
import atexit
import glob
import itertools
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile

from benched import check, nothing_left, same

TOOL = os.path.join(os.environ["CAUSEWAY_BUILD"], "tools/causeway")
# Sanitizers are for the bench; they cannot live with the daemon's sandbox.
DAEMON = os.path.join(os.environ["CAUSEWAY_PLAIN_BUILD"], "src/daemon/causewayd")
LIMIT = 200
FILES = 300
CACHED = ("shared", "always", "auto")
SERVED = CACHED + ("none",)
WAYS = SERVED + ("system-calls",)
LOOKS = ("fstat", "lstat", "walk")
# Requests of one operation that no cache answers.
REQUESTS = {"request-getattr": 1, "request-lookup": 1, "request-create": 4, "request-rename": 2,
            "request-replace": 4,
            "request-setattr": 1, "request-mkdir": 3, "request-list": 1, "request-list-new": 2,
            "request-read-4k": 1,
            "request-write-4k": 1}
# Files that change before a walk.
CHANGES = 16
# Where a path is asked for component by component.
DEPTH = 4
QUICK = ("--shared", f"--files={FILES}", "--rounds=3", "--time=0.002", "--json=out.json")
GROUND = os.path.abspath(tempfile.mkdtemp(prefix="cw-bench-shared-", dir="."))
atexit.register(shutil.rmtree, GROUND, True)


def bench(*args, status=0, daemon=DAEMON):
    """Runs it to its end: (standard output, standard error)."""
    with subprocess.Popen([TOOL, "bench", *args, GROUND], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.PIPE, env={**os.environ, "CAUSEWAYD": daemon}) as run:
        try:
            out, err = run.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            run.kill()
            raise
    check(run.returncode == status, f"{args}: status {run.returncode}, not {status}\n{out}\n{err}")
    nothing_left(args, GROUND)
    same(f"{args}: tables", glob.glob(f"/dev/shm/causeway-bench-{run.pid}*"), [])
    return out, err


def results(*args, **how):
    """(the JSON, {(operation, tree, way): result}, standard output, standard error)."""
    out, err = bench(*QUICK, *args, **how)
    with open("out.json", encoding="utf-8") as f:
        data = json.load(f)
    rows = {(r["operation"], r["tree"], r["server"]): r for r in data["results"]}
    same("rows that are there once", len(rows), len(data["results"]))
    return data, rows, out, err


def check_numbers(key, r):
    check(r["operations"] > 0 and r["error"] is None, f"{key}: {r}")
    same(f"{key}: rounds", sum(s["operations"] for s in r["rounds"]), r["operations"])
    check(0 < r["latency_ns"]["count"] <= r["operations"], f"{key}: {r}")
    for name in ("time_ns", "operations_per_second"):
        check(0 < r[name]["low"] <= r[name]["median"] <= r[name]["high"], f"{key}: {name}: {r}")
    check(r["ratio"]["median"] >= 0, f"{key}: {r}")
    served = key[2] in SERVED
    same(f"{key}: of a server", ("server_cpu_ns" in r, "requests" in r), (served, served))
    same(f"{key}: of a change", "requests_of_a_change" in r, served and key[1] == "changes")


def wanted(op, tree, way):
    """How many requests an operation takes, at least and at most; None: it depends on time."""
    if op in REQUESTS:
        return REQUESTS[op], REQUESTS[op]
    if way == "none":
        # Nothing is kept of a name, but what is in use.
        return (1, 1) if op == "fstat" else (FILES if op == "walk" else 1, DEPTH * 2 * FILES)
    if way == "auto":
        return None
    if way == "always" or tree == "still":
        return 0, 0
    # What shares a slot with what has changed is asked for as well.
    return (CHANGES, 2 * CHANGES) if op == "walk" else (1, 2)


def everything():
    data, rows, out, err = results("--plot=out.svg")
    same("servers", [s["name"] for s in data["servers"]], list(WAYS))
    same("failures", {s["failure"] for s in data["servers"]}, {None})
    same("files", data["files"], FILES)
    want = set(itertools.product(LOOKS, ("still", "changes"), WAYS))
    want |= set(itertools.product(REQUESTS, ("still",), WAYS))
    same("rows", set(rows), want)
    for key, r in rows.items():
        check_numbers(key, r)
        limits = wanted(*key) if key[2] in SERVED else None
        if limits:
            check(limits[0] <= r["requests"]["median"] <= limits[1],
                  f"{key}: not {limits} requests: {r}")
    same("columns", out.split()[:3], ["operation", "tree", "server"])
    check(f"a tree of {FILES} files" in out, out)
    with open("out.svg", encoding="utf-8") as f:
        picture = f.read()
    for text in ("Nothing changes", "Another client changes what is looked at"):
        check(text in picture, f"'{text}' is not in the picture")
    same("what is said", err, "")


def a_part():
    _, rows, out, _ = results("--ops=walk", "--tree=still", "--markdown")
    same("rows", set(rows), {("walk", "still", way) for way in WAYS})
    check("Nothing changes:" in out and "| requests |" in out and "Another" not in out, out)


def wrapper(name, text):
    """A daemon that is a program of ours, to which the real one's command line is passed."""
    with open(name, "w", encoding="utf-8") as f:
        f.write(f"#!{sys.executable}\nimport os, sys\nDAEMON = {DAEMON!r}\n{text}")
    os.chmod(name, stat.S_IRWXU)
    return os.path.abspath(name)


WITHOUT = """
bare = "/shared" in next(a for a in sys.argv if a.startswith("--socket-path="))
args = [a for a in sys.argv[1:] if not bare or not a.startswith("--version-table")]
os.execv(DAEMON, [DAEMON, *args])
"""


def no_table():
    """A daemon that has none is not measured as if it had one."""
    data, rows, _, err = results("--ops=fstat", "--tree=still", status=1,
                                 daemon=wrapper("without", WITHOUT))
    failures = {s["name"]: s["failure"] for s in data["servers"]}
    check(failures.pop("shared") is not None and not any(failures.values()), failures)
    check("bench: shared: " in err, err)
    for (_, _, way), r in rows.items():
        same(f"{way}: measured", r["operations"] > 0, way != "shared")


def no_server():
    """The one that changes what is looked at is none that could be left out."""
    _, err = bench(*QUICK, status=1, daemon=wrapper("none", "sys.exit(3)\n"))
    check("bench: other: it ended with status 3" in err, err)


BAD = (
    (["--files=10"], "--files has no meaning without --shared"),
    (["--tree=still"], "--tree has no meaning without --shared"),
    (["--shared", "--files=0"], "--files: '0' is no number from 1 to 10000000"),
    (["--shared", "--tree=moving"], "--tree: 'moving' is none of: still, changes, both"),
    (["--shared", "--guest"], "--shared has no meaning with --guest"),
    (["--shared", "--dax=4M"], "has no meaning with --"),
    (["--shared", "--client=polls"], "--client has no meaning with --shared"),
    (["--shared", "--peers"], "--peers has no meaning with --shared"),
    (["--shared", "--ops=rename"], "--ops: no operation is called 'rename'"),
    (["--shared", "--ops=request-*", "--tree=changes"],
     "none of these operations has to do with caches; see --tree"),
)


def bad_lines():
    for args, words in BAD:
        out, err = bench(*args, status=2)
        check(words in err and not out, f"{args}: '{words}' is not said: {err}\n{out}")


for part in (everything, a_part, no_table, no_server, bad_lines):
    part()
    print(f"{part.__name__}: passed", flush=True)

# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain full-builds=tsan timeout=240
"""`causeway bench --dax`, in runs so short that they measure nothing: each way to a file's data has
its numbers, of a file that fits into the window and of one that does not; what goes through the
window is no READ and no WRITE, what does not is; a server without a window is told, and so is one that dies;
nothing is left behind; options that mean nothing with it are refused."""
import atexit
import itertools
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile

import benched
from benched import TOOL, check, same

# Sanitizers are for the bench; they cannot live with the daemon's sandbox.
DAEMON = os.path.join(os.environ["CAUSEWAY_PLAIN_BUILD"], "src/daemon/causewayd")
LIMIT = 200
WINDOW = 4 << 20
SERVED = ("dax", "dax-map", "requests", "cached")
WAYS = SERVED + ("mmap", "system-calls")
FILES = ("fits", "exceeds")
QUICK = ("--dax=4M", "--rounds=2", "--time=0.002", "--json=out.json")
GROUND = os.path.abspath(tempfile.mkdtemp(prefix="cw-bench-dax-", dir="."))
atexit.register(shutil.rmtree, GROUND, True)


def bench(*args, status=0, daemon=DAEMON):
    """Runs it to its end: (standard output, standard error)."""
    return benched.bench(GROUND, *args, status=status, daemon=daemon, limit=LIMIT)


def results(*args, **how):
    """(the JSON, {(operation, file, way): result}, standard output, standard error)."""
    out, err = bench(*QUICK, *args, **how)
    with open("out.json", encoding="utf-8") as f:
        data = json.load(f)
    rows = {(r["operation"], r["file"], r["server"]): r for r in data["results"]}
    same("rows that are there once", len(rows), len(data["results"]))
    return data, rows, out, err


def operations():
    done = subprocess.run([TOOL, "bench", "--dax=4M", "--list"], stdout=subprocess.PIPE, text=True,
                          check=True)
    return [line.split()[0] for line in done.stdout.splitlines()]


def check_numbers(key, r):
    check(r["operations"] > 0 and r["error"] is None, f"{key}: {r}")
    same(f"{key}: rounds", sum(s["operations"] for s in r["rounds"]), r["operations"])
    same(f"{key}: counted times", r["latency_ns"]["count"], r["operations"])
    for name in ("time_ns", "operations_per_second", "bytes_per_second", "ratio"):
        check(0 < r[name]["low"] <= r[name]["median"] <= r[name]["high"], f"{key}: {name}: {r}")
    same(f"{key}: one at a time", (r["depth"], r["queues"]), (1, 1))
    same(f"{key}: CPU time of a server", "server_cpu_ns" in r, key[2] in SERVED)
    if key[2] == "requests":
        check(r["server_cpu_ns"]["median"] > 0, f"{key}: {r}")


def everything():
    """All operations by all ways; a file that exceeds the window is in no memory as a whole."""
    ops = operations()
    same("operations", {op.split("-")[0] for op in ops}, {"read", "randread", "write", "randwrite"})
    data, rows, out, err = results("--plot=out.svg")
    same("servers", [s["name"] for s in data["servers"]], list(WAYS))
    same("failures", {s["failure"] for s in data["servers"]}, {None})
    same("the window", data["window"], WINDOW)
    same("rows", set(rows), set(itertools.product(ops, FILES, WAYS)))
    for key, r in rows.items():
        if key[1:] == ("exceeds", "dax-map"):
            same(f"{key}: error", (r["error"], r["operations"]), ("EOPNOTSUPP", 0))
        else:
            check_numbers(key, r)
    same("columns", out.split()[:3], ["operation", "file", "server"])
    check("a window of 4 MiB" in out, out)
    with open("out.svg", encoding="utf-8") as f:
        picture = f.read()
    for text in ("The file is smaller than the window", "The file is larger than the window"):
        check(text in picture, f"'{text}' is not in the picture")
    same("what is said", err, "")


def wrapper(name, text):
    """A daemon that is a program of ours, to which the real one's command line is passed."""
    with open(name, "w", encoding="utf-8") as f:
        f.write(f"#!{sys.executable}\nimport os, subprocess, sys\nDAEMON = {DAEMON!r}\n{text}")
    os.chmod(name, stat.S_IRWXU)
    return os.path.abspath(name)


RECORDING = """
socket = next(a for a in sys.argv if a.startswith("--socket-path="))
name = os.path.basename(socket)
os.execv(DAEMON, [DAEMON, *sys.argv[1:], f"--record=HERE/record.{name}"])
"""


def requests(name):
    """Operation → how many of it a server was asked for."""
    done = subprocess.run([TOOL, "decode", "--summary", f"record.{name}"], stdout=subprocess.PIPE,
                          text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    return {row[0]: int(row[1]) for row in rows if len(row) > 2 and row[1].isdigit()}


def what_it_takes():
    """Requests are requests, and the window is the window: it is asked for its places and for the
    first pass, and for nothing after that. (The first write through each handle is one.)"""
    daemon = wrapper("recording", RECORDING.replace("HERE", os.getcwd()))
    _, rows, _, _ = results("--ops=randread-4k-*,randwrite-4k-*", "--file=fits", daemon=daemon)
    same("rows", {key[1] for key in rows}, {"fits"})
    asked = {name: requests(name) for name in SERVED}
    for name in ("requests", "cached"):
        same(f"{name}: places", asked[name].get("SETUPMAPPING", 0), 0)
    for op, kind in (("READ", "randread-4k-d1"), ("WRITE", "randwrite-4k-d1")):
        done = rows[kind, "fits", "requests"]["operations"]
        check(asked["requests"][op] >= done, f"requests: {asked['requests']} for {done} of {kind}")
    # A pass is two of 1 MiB, and there are four turns.
    dax, of_map = asked["dax"], asked["dax-map"]
    check(dax["SETUPMAPPING"] > 0 and dax.get("READ", 0) + dax.get("WRITE", 0) <= 2 * 4 + 4 * 4,
          f"dax: {dax}")
    check(of_map["SETUPMAPPING"] > 0 and not of_map.get("READ") and not of_map.get("WRITE"),
          f"dax-map: {of_map}")


WITHOUT = """
os.execv(DAEMON, [DAEMON, *(a for a in sys.argv[1:] if not a.startswith("--dax"))])
"""


def no_window():
    """A daemon that has none is not measured as if it had one."""
    data, rows, _, err = results("--ops=read-1m-*", "--file=fits", status=1,
                                 daemon=wrapper("without", WITHOUT))
    failures = {s["name"]: s["failure"] for s in data["servers"]}
    same("failures", failures, {name: "it has no window" if "dax" in name else None for name in WAYS})
    check("dax: it has no window" in err, err)
    for (op, file, way), r in rows.items():
        same(f"{way}: measured", r["operations"] > 0, "dax" not in way)


MORTAL = """
import fcntl
daemon = subprocess.Popen([DAEMON, *sys.argv[1:], "--log-level=trace"], stderr=subprocess.PIPE)
fcntl.fcntl(daemon.stderr, fcntl.F_SETPIPE_SZ, 4096)
for line in daemon.stderr:
    if b"WRITE" in line and not any("--dax" in a for a in sys.argv):
        daemon.kill()
        os._exit(3)
sys.exit(daemon.wait())
"""


def death():
    """Servers that die at their first WRITE; the rest goes on. (However late that is read: behind it
    their log has room for some lines, and a round has a line for each WRITE at least.)"""
    data, rows, _, err = results("--ops=read-1m-*,write-1m-*", "--file=fits", "--rounds=100",
                                 "--time=0.0001", status=1, daemon=wrapper("mortal", MORTAL))
    want = "it ended the connection; it ended with status 3"
    for server in data["servers"]:
        name = server["name"]
        same(f"{name}: failure", server["failure"], want if name in ("requests", "cached") else None)
    check(f"requests: {want}" in err, err)
    for way in WAYS:
        key = "read-1m-d1", "fits", way
        # The end may come while a later round reads.
        if way in ("requests", "cached"):
            check(rows[key]["operations"] > 0, f"{key}: {rows[key]}")
        else:
            check_numbers(key, rows[key])
    check(rows["write-1m-d1", "fits", "dax"]["operations"] > 0, "the rest did not go on")


BAD = (
    (["--dax=3M"], "--dax: '3M' is no power of two from 4M to 64G"),
    (["--dax=48M"], "--dax: '48M' is no power of two"),
    (["--dax=128G"], "--dax: '128G' is no power of two"),
    (["--dax=much"], "--dax: 'much' is no power of two"),
    (["--dax=4M", "--client=polls"], "--client has no meaning with --dax"),
    (["--dax=4M", "--depth=8"], "--depth has no meaning with --dax"),
    (["--peers", "--dax=4M"], "--peers has no meaning with --dax"),
    (["--dax=4M", "--against=a=b %d %s"], "--against has no meaning with --dax"),
    (["--dax=4M", "--caches=cold"], "--caches has no meaning without --guest"),
    (["--file=fits"], "--file has no meaning without --dax"),
    (["--guest", "--dax=4M", "--file=fits"], "--file has no meaning with --guest"),
    (["--dax=4M", "--file=large"], "--file: 'large' is none of: fits, exceeds, both"),
    (["--dax=4M", "--ops=rename"], "--ops: no operation is called 'rename'"),
)


def bad_lines():
    for args, words in BAD:
        out, err = bench(*args, status=2)
        check(words in err and not out, f"{args}: '{words}' is not said: {err}\n{out}")


for part in (everything, what_it_takes, no_window, death, bad_lines):
    part()
    print(f"{part.__name__}: passed", flush=True)

# SPDX-License-Identifier: BSD-2-Clause
# check: full timeout=1800 needs=qemu-system-x86_64
"""`causeway bench --guest`, in runs so short that they measure nothing: every operation has its
numbers on causewayd and on 9p with caches of both kinds, which are what they are called; a kernel without 9p leaves that out and
nothing else; causeway.ko has its numbers beside Linux's driver and 9p, and what each of them sends is counted, where the
guest's kernel can do that; with causewayd no operation on names sends more than with virtiofsd; a server that dies takes the
guest with it, and that is told; nothing is left behind, however it ends; what runs in the guest answers nonsense with an
error."""
import atexit
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

import kmod
from benched import check, nothing_left, same, sharers, wait_for

TOOL = os.environ["CAUSEWAY"]
DAEMON = os.environ["CAUSEWAYD"]
SETUP = os.path.join(os.environ["CAUSEWAY_SRC"], "tools/setup")
LIMIT = 600
OURS, NINEP = "causewayd", "9p"
MODULE = ("causeway.ko", "causeway.ko-shared")
WINDOW = ("dax", "requests")
QUICK = ("--guest", "--rounds=2", "--time=0.002")
# What may be found in the guest's caches is measured with both kinds.
CACHED = {"getattr", "lookup", "lookup-missing", "lookup-forget", "open-release", "list-2000", "walk",
          "small-file", "status", "compile"}
GROUND = os.path.abspath(tempfile.mkdtemp(prefix="cw-guest-", dir="."))
atexit.register(shutil.rmtree, GROUND, True)


def bench(*args, status=0):
    """Runs it to its end: (the JSON, {(operation, caches, server): result}, its output, its errors)."""
    done = subprocess.run([TOOL, "bench", *QUICK, "--json=out.json", *args, GROUND], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT, check=False)
    check(done.returncode == status, f"{args}: status {done.returncode}, not {status}\n"
                                     f"{done.stdout}\n{done.stderr}")
    nothing_left(args, GROUND)
    with open("out.json", encoding="utf-8") as f:
        data = json.load(f)
    rows = {(r["operation"], r["caches"], r["server"]): r for r in data["results"]}
    same("rows that are there once", len(rows), len(data["results"]))
    return data, rows, done.stdout, done.stderr


def kernel(tree):
    """Its image, or program; None where it can't be had."""
    done = subprocess.run([SETUP, "--path", tree], stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.splitlines()[0] if done.returncode == 0 else None


def operations():
    done = subprocess.run([TOOL, "bench", "--guest", "--list"], stdout=subprocess.PIPE, text=True,
                          check=True)
    return [line.split()[0] for line in done.stdout.splitlines()]


def ways(op):
    return ("cold", "warm") if op in CACHED or "read-" in op else ("warm",)


def check_numbers(key, r):
    check(r["operations"] > 0 and r["error"] is None, f"{key}: {r}")
    same(f"{key}: rounds", len(r["rounds"]), 2)
    same(f"{key}: counted times", r["latency_ns"]["count"], r["operations"])
    for name in ("time_ns", "operations_per_second", "ratio"):
        check(0 < r[name]["low"] <= r[name]["median"] <= r[name]["high"], f"{key}: {name}: {r}")
    # With warm caches a server may have nothing to do.
    if key[1] == "cold":
        check(r["server_cpu_ns"]["median"] > 0, f"{key}: CPU time: {r}")
    same(f"{key}: memory", r["server_memory"]["median"] > 100000, key[2] != NINEP)


def everything(image):
    """All operations on causewayd and 9p."""
    ops = [op for op in operations() if op not in ("find-1000000", "list-100000", "walk")]
    data, rows, out, err = bench(f"--kernel={image}", "--plot=out.svg", "--ops=" + ",".join(ops))
    same("servers", [s["name"] for s in data["servers"]], [OURS, NINEP])
    check(data["guest"] and data["guest"] in image, f"the guest's kernel: {data['guest']}")
    want = {(op, way, server) for op in ops for way in ways(op) for server in (OURS, NINEP)}
    same("rows", set(rows), want)
    for key, r in rows.items():
        # The host's file system may have no such attributes.
        if r["error"] and key[0].endswith("xattr"):
            same(f"{key}: error", r["error"], "EOPNOTSUPP")
        else:
            check_numbers(key, r)
    cold, warm = (rows["lookup", way, OURS]["server_cpu_ns"]["median"] for way in ("cold", "warm"))
    check(cold > 0 and warm >= 0, f"CPU of lookups: {cold}, {warm}")
    same("columns", out.split()[:3], ["operation", "caches", "server"])
    with open("out.svg", encoding="utf-8") as f:
        picture = f.read()
    for text in ops + ["caches are cold", "caches are warm"]:
        check(text in picture, f"'{text}' is not in the picture")
    same("what is said", err, "")


def without_9p(image):
    """A kernel without 9p, and a table for a document; what takes long is left out by itself."""
    data, rows, out, err = bench(f"--kernel={image}", "--markdown", "--caches=warm",
                                 "--ops=getattr,small-file")
    same("servers", [s["name"] for s in data["servers"]], [OURS])
    same("rows", set(rows), {(op, "warm", OURS) for op in ("getattr", "small-file")})
    check(all(r["requests"]["high"] >= 0 for r in rows.values()), "requests are not counted")
    check("no module 9p" in err and "9p is left out" in err, f"that 9p is left out is not said: {err}")
    check("The guest's caches are warm:" in out, out)


def requests(record):
    """Operation → how many of it the daemon was asked for."""
    done = subprocess.run([TOOL, "decode", "--summary", record], stdout=subprocess.PIPE, text=True,
                          check=True)
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    return {row[0]: int(row[1]) for row in rows if len(row) > 2 and row[1].isdigit()}


def caches(image):
    """With cold caches each operation asks the server, with warm ones it does not. (cache=always: what
    the guest has stays good for as long as a slow machine may take.)"""
    for way in ("cold", "warm"):
        record = os.path.abspath(f"record.{way}")
        _, rows, _, _ = bench(f"--kernel={image}", f"--caches={way}", "--ops=lookup,small-file",
                              "--daemon-option=--cache=always", f"--daemon-option=--record={record}")
        asked = requests(record)
        done = {op: rows[op, way, OURS]["operations"] for op in ("lookup", "small-file")}
        if way == "cold":
            check(asked["LOOKUP"] >= sum(done.values()), f"cold: {asked} for {done}")
            same("cold: reads of files that were opened", asked["READ"], asked["OPEN"])
            check(asked["READ"] >= done["small-file"], f"cold: {asked} for {done}")
        else:
            # Of each name once, and of the way there.
            check(asked["LOOKUP"] <= 300 and asked["READ"] <= 256, f"warm: {asked} for {done}")


RECORDING = """
# Those of the guest's root and program have theirs as two words.
tags = [a[6:] for a in sys.argv if a.startswith("--tag=")]
os.execv(DAEMON, [DAEMON, *sys.argv[1:], *(f"--record=HERE/record.{t}" for t in tags)])
"""


def window(image, qemu):
    """A share with a window and one without, in one guest: what goes through the window is no READ and
    no WRITE, and no place of it is asked for elsewhere."""
    with open("recording", "w", encoding="utf-8") as f:
        f.write(f"#!{sys.executable}\nimport os, sys\nDAEMON = {DAEMON!r}\n" +
                RECORDING.replace("HERE", os.getcwd()))
    os.chmod("recording", stat.S_IRWXU)
    os.environ["CAUSEWAYD"] = os.path.abspath("recording")
    data, rows, out, err = bench(f"--kernel={image}", "--dax=64M", "--ops=randread-4k-*,randwrite-4k-*")
    os.environ["CAUSEWAYD"] = DAEMON
    same("servers", [s["name"] for s in data["servers"]], list(WINDOW))
    want = {("randread-4k-d1", way) for way in ("cold", "warm")} | {("randwrite-4k-d1", "warm")}
    same("rows", set(rows), {key + (server,) for key in want for server in WINDOW})
    for (op, way, server), r in rows.items():
        # Through the window there is nothing to do with cold caches either.
        check(r["operations"] > 0 and r["error"] is None and server in WINDOW, f"{op} {way} {server}: {r}")
        same(f"{op} {way} {server}: rounds", len(r["rounds"]), 2)
    asked = {name: requests(f"record.{name}") for name in WINDOW}
    same("places that were asked for", [asked[w].get("SETUPMAPPING", 0) > 0 for w in WINDOW], [True, False])
    same("reads and writes through the window", [asked["dax"].get(op, 0) for op in ("READ", "WRITE")], [0, 0])
    written = rows["randwrite-4k-d1", "warm", "requests"]["operations"]
    check(asked["requests"]["READ"] > 0 and asked["requests"]["WRITE"] >= written, f"requests: {asked}")
    check("9p is left out" in err and "a window of 64 MiB" in out, f"{err}\n{out}")


# What a step asks for that finds nothing in caches, whoever serves it by whatever protocol.
ONE = {("getattr", "cold"), ("randread-4k-d1", "cold"), ("write-64k-d1", "warm")}
# What hardly ever asks where nothing has changed: by words, and of data that is there by none but 9p.
NONE_BY_WORDS = {("getattr", "warm"), ("lookup", "warm"), ("walk", "warm"), ("status", "warm")}
NONE = {("randread-4k-d1", "warm"), ("read-64k-d1", "warm")}


def module(image, _):
    """Both modes of the module, beside Linux's driver and 9p, and what each of them sends. With cold
    caches that is what has to be sent, with warm ones hardly anything; the module sends fewer than
    Linux's driver, and that fewer than 9p."""
    ops = ("getattr", "lookup", "open-release", "walk", "status", "compile", "read-64k-d1", "randread-4k-d1",
           "write-64k-d1")
    data, rows, out, err = bench(f"--kernel={image}", f"--module={kmod.build('6.1-full')}", "--time=0.01",
                                 "--ops=" + ",".join(ops))
    servers = (OURS, *MODULE, NINEP)
    same("servers", [s["name"] for s in data["servers"]], list(servers))
    same("rows", set(rows), {(op, way, s) for op in ops for way in ways(op) for s in servers})
    for key, r in rows.items():
        check_numbers(key, r)
        op, way, server = key
        sent = r["requests"]
        if (op, way) in ONE:
            check(abs(sent["median"] - 1) < 0.05, f"{key}: {sent} requests")
        if (op, way) in NONE and server != NINEP or (op, way) in NONE_BY_WORDS and server == MODULE[1]:
            # Now and then one is old enough to be asked for again.
            check(sent["high"] * r["operations"] / 2 < 50, f"{key}: {sent} requests")
        if server == NINEP:
            check(sent["low"] > 0.9, f"{key}: {sent} requests")
    for op in ("walk", "status", "compile"):
        stock, ours, shared, ninep = (rows[op, "cold", s]["requests"]["median"] for s in servers)
        check(0 < shared < 1.2 * ours and ours < stock < ninep, f"{op}: {shared}, {ours}, {stock}, {ninep}")
    # OPEN and RELEASE; what causeway.ko has opened before it opens by a pin.
    check(rows["open-release", "warm", OURS]["requests"]["low"] >= 2, "opens without requests")
    columns = out.splitlines()[0].split()
    same("the last column", columns[-1], "requests")
    check("--module" not in err and "refuse" not in err and "not counted" not in err, err)
    mounts = [any("--version-table=" in a for a in s["command"]) for s in data["servers"]]
    same("with a table", mounts, [False, False, True, False])


# Of names and attributes, where what is sent does not depend on how much time has passed.
FIXED = {("lookup-missing", "warm"), ("open-release", "warm"), ("create-unlink", "warm"),
         ("mkdir-rmdir", "warm"), ("rename", "warm"), ("fsync", "warm")}


def peers(image, virtiofsd):
    """No operation on names and attributes sends more requests with causewayd than with virtiofsd, and
    FORGETs of what has gone from the caches are counted with what brought it there."""
    os.environ["CAUSEWAY_VIRTIOFSD"] = virtiofsd
    data, rows, _, err = bench(f"--kernel={image}", "--peers", "--ops=" + ",".join(
        op for op in operations() if op in CACHED or (op, "warm") in FIXED))
    check("not counted" not in err and "virtiofsd" in [s["name"] for s in data["servers"]], err)
    for op, way in FIXED | {(op, "cold") for op in CACHED}:
        ours, theirs = (rows[op, way, s] for s in (OURS, "virtiofsd"))
        most = 1.02 * theirs["requests"]["high"] + 0.02
        check(0 <= ours["requests"]["low"] <= most, f"{op}, {way}: {ours['requests']}, not {theirs['requests']}")
        if op != "lookup-missing":
            check(theirs["server_cpu_ratio"]["median"] > 0, f"{op}, {way}: {theirs}")
        if op == "lookup" and way == "cold":
            for r in (ours, theirs):
                check(abs(r["requests"]["median"] - 2) < 0.05, f"LOOKUP and FORGET: {r['requests']}")


LOCKED = """
at = sys.argv.index("-append") + 1 if "-append" in sys.argv else 0
if at:
    sys.argv[at] += " lockdown=confidentiality"
os.execv(QEMU, [QEMU, *sys.argv[1:]])
"""


def uncounted(image):
    """A kernel that has no kprobes for anybody: all is measured but for requests, and why is said once."""
    os.mkdir("locked")
    path = os.path.abspath("locked/qemu-system-x86_64")
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"#!{sys.executable}\nimport os, sys\nQEMU = {shutil.which(os.path.basename(path))!r}\n{LOCKED}")
    os.chmod(path, stat.S_IRWXU)
    search = os.environ["PATH"]
    os.environ["PATH"] = f"{os.path.dirname(path)}:{search}"
    _, rows, out, err = bench(f"--kernel={image}", "--ops=getattr,small-file")
    os.environ["PATH"] = search
    for key, r in rows.items():
        check_numbers(key, r)
        check("requests" not in r, f"{key}: {r}")
    same("requests", [line.split()[-1] for line in out.splitlines()[1:1 + len(rows)]], ["-"] * len(rows))
    same("that they are not counted", (err.count("requests are not counted"), len(err.splitlines())), (1, 1))


MORTAL = """
import subprocess, sys
daemon = subprocess.Popen(sys.argv[1:], stderr=subprocess.PIPE, text=True)
for line in daemon.stderr:
    if "MKDIR" in line:
        daemon.kill()
        sys.exit(3)
"""


def death():
    """A server that dies: the guest ends with it, the numbers until then are there."""
    with open("mortal.py", "w", encoding="utf-8") as f:
        f.write(MORTAL)
    data, rows, _, err = bench(
        "--against", f"mortal={sys.executable} {os.path.abspath('mortal.py')} {DAEMON} "
        "--shared-dir %d --socket-path=%s --log-level trace", "--caches=warm",
        "--ops=getattr,mkdir-rmdir", status=1)
    check("the guest has ended" in err and "'mortal' hung up" in err, f"its end is not said: {err}")
    same("failures", {s["failure"] for s in data["servers"]}, {"the guest has ended"})
    check(rows["getattr", "warm", OURS]["operations"] > 0, "nothing was measured before")
    same("after its end", rows["mkdir-rmdir", "warm", "mortal"]["operations"], 0)


def stopped():
    """A signal while the guest boots or works."""
    process = subprocess.Popen([TOOL, "bench", "--guest", "--rounds=1000", "--ops=getattr", GROUND],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for("QEMU", lambda: len(sharers(GROUND)) >= 2 or process.poll() is not None,
             LIMIT)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=LIMIT)
    same("status after SIGTERM", (process.returncode, "stopped" in err), (130, True))
    nothing_left("after SIGTERM", GROUND)


def nonsense():
    """The half that runs in the guest, here: what makes no sense is refused line by line."""
    lines = ["", "turn", "turn x getattr", "turn x nothing warm 1", "turn x getattr warm 1", "go"]
    done = subprocess.run([TOOL, "bench", "--inside", GROUND], input="\n".join(lines) + "\n",
                          stdout=subprocess.PIPE, text=True, timeout=LIMIT, check=False)
    out = done.stdout.splitlines()
    same("its first line", (done.returncode, out[0].split()[:2]), (0, ["hello", os.uname().release]))
    same("its answers", out[1:], ["error 71"] * 4 + ["error 2", "error 71"])


full, cloud = kernel("kernel-6.1-full"), kernel("kernel-6.1")
with_window = kernel("qemu-sid")
check(cloud, "there is no kernel for guests")
for part, arguments in ((everything, [full]), (without_9p, [cloud]), (caches, [cloud]),
                        (module, [full, kernel("headers-6.1-full")]), (uncounted, [full]),
                        (peers, [cloud, kernel("virtiofsd-sid")]), (window, [cloud, with_window]), (death, []),
                        (stopped, []), (nonsense, [])):
    if None in arguments:
        print(f"{part.__name__}: tools/setup can't get its kernel or QEMU")
        continue
    started = time.monotonic()
    part(*arguments)
    print(f"{part.__name__}: {time.monotonic() - started:.1f} s")

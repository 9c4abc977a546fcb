# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain full-builds=tsan timeout=240
"""`causeway bench`, in runs so short that they measure nothing: every operation has its numbers on
every server with both clients; what is written for programs and as a picture is well-formed; nothing
is left behind, however it ends; servers that refuse, that die and that do not start are told; bad
command lines name what is wrong."""
import atexit
import glob
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

from benched import check, nothing_left, same, sharers, wait_for

BUILD = os.environ["CAUSEWAY_CHECK_BUILD"]
TOOL = os.path.join(os.environ["CAUSEWAY_BUILD"], "tools/causeway")
# Sanitizers are for the bench; they cannot live with the daemon's sandbox.
DAEMON = os.path.join(os.environ["CAUSEWAY_PLAIN_BUILD"], "src/daemon/causewayd")
C_DAEMON = "/usr/lib/qemu/virtiofsd"
LIMIT = 200
OURS, PLAIN = "causewayd", "system-calls"
COMMAND = f"{DAEMON} --shared-dir %d --socket-path %s --log-level warn"
CLIENTS = ("sleeps", "polls")
QUICK = ("--rounds=1", "--time=0.001")
# In memory where that can be: ext4 takes long to make 100,000 files where as many were deleted.
GROUND = tempfile.mkdtemp(prefix="cw-bench-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else ".")
GROUND = os.path.abspath(GROUND)
atexit.register(shutil.rmtree, GROUND, True)

os.environ["CAUSEWAYD"] = DAEMON
os.environ.pop("CAUSEWAY_VIRTIOFSD", None)


def bench(*args, status=0):
    """Runs it to its end: (standard output, standard error)."""
    done = subprocess.run([TOOL, "bench", *args, GROUND], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.PIPE, timeout=LIMIT, check=False)
    check(done.returncode == status, f"{args}: status {done.returncode}, not {status}\n"
                                     f"{done.stdout}\n{done.stderr}")
    nothing_left(args, GROUND)
    return done.stdout, done.stderr


def results(*args, status=0):
    """(the JSON, {(operation, client, server): result}, standard output, standard error)."""
    out, err = bench(*QUICK, "--json=out.json", *args, status=status)
    with open("out.json", encoding="utf-8") as f:
        data = json.load(f)
    rows = {(r["operation"], r["client"], r["server"]): r for r in data["results"]}
    same("rows that are there once", len(rows), len(data["results"]))
    return data, rows, out, err


def operations(*args):
    done = subprocess.run([TOOL, "bench", "--list", *args], stdout=subprocess.PIPE, text=True,
                          check=True)
    return [line.split()[0] for line in done.stdout.splitlines()]


def check_numbers(key, r):
    """A row of what succeeded."""
    op, _, server = key
    check(r["operations"] > 0 and r["error"] is None, f"{key}: {r}")
    check(r["time_ns"]["median"] > 0 and r["operations_per_second"]["median"] > 0, f"{key}: {r}")
    for name in ("time_ns", "operations_per_second", "ratio"):
        check(0 < r[name]["low"] <= r[name]["median"] <= r[name]["high"], f"{key}: {name}: {r}")
    latency = [r["latency_ns"][p] for p in ("p50", "p90", "p99", "p99.9", "max")]
    check(latency == sorted(latency) and latency[0] > 0, f"{key}: percentiles {latency}")
    same(f"{key}: counted times", r["latency_ns"]["count"], r["operations"])
    same(f"{key}: rounds", sum(s["operations"] for s in r["rounds"]), r["operations"])
    check(("server_cpu_ns" in r) == (server != PLAIN), f"{key}: CPU time: {r}")
    if server != PLAIN:
        check(r["server_cpu_ns"]["median"] > 0, f"{key}: CPU time: {r}")
        # The memory of a daemon in a sandbox is for root to see.
        check(r["server_memory"]["median"] > 100000 or os.geteuid() != 0, f"{key}: memory: {r}")
    if re.match("(rand)?(read|write)-", op):
        same(f"{key}: bytes", round(r["bytes_per_second"]["median"] /
                                    r["operations_per_second"]["median"] / r["size"], 3), 1)
        same(f"{key}: requests in flight", f"-d{r['depth']}" in op, True)


def check_refusals(rows):
    """What failed did so for a known reason; none of ours, but for what the host has not."""
    for key, r in rows.items():
        op, client, server = key
        few_queues = server == "virtiofsd-c" and op.endswith("-q2")
        few_files = server == "virtiofsd-c" and op == "list-100000"
        if r["error"] is None:
            check_numbers(key, r)
        else:
            known = (("EOPNOTSUPP", few_queues), ("EMFILE", few_files),
                     (rows[op, client, PLAIN]["error"], op.endswith("xattr")))
            check((r["error"], True) in known, f"{key}: {r['error']}")
            same(f"{key}: operations", r["operations"], 0)


def check_picture(name, ops, rows):
    tree = xml.etree.ElementTree.parse(name)
    svg = "{http://www.w3.org/2000/svg}"
    same("the root of the picture", tree.getroot().tag, svg + "svg")
    texts = [t.text for t in tree.iter(svg + "text")]
    check(set(ops) <= set(texts), f"not in the picture: {set(ops) - set(texts)}")
    points = [c for c in tree.iter(svg + "circle") if c.get("r") == "3.5"]
    same("points", len(points), sum(r["operations"] > 0 and r["server"] != OURS
                                    for r in rows.values()))
    width = float(tree.getroot().get("width"))
    check(all(0 <= float(c.get("cx")) <= width for c in points), "points outside of the picture")


def check_table(out, ops, servers):
    lines = out.splitlines()
    same("columns", lines[0].split()[:3], ["operation", "client", "server"])
    names = [line.split() for line in lines[1:1 + len(ops) * len(CLIENTS) * len(servers)]]
    want = [[op, client, servers[0]] if server == servers[0] else [server]
            for op, client, server in itertools.product(ops, CLIENTS, servers)]
    for got, expected in zip(names, want):
        same("a line of the table", got[:len(expected)], expected)


def everything():
    """All operations on all servers there are."""
    with_c = os.access(C_DAEMON, os.X_OK) and os.geteuid() == 0
    servers = [OURS, "again"] + ["virtiofsd-c"] * with_c + [PLAIN]
    choice = ("--depth=1,8", "--queues=1,2")
    ops = operations(*choice)
    # It is walk, with more.
    ops.remove("find-1000000")
    if BUILD != "plain":
        ops.remove("list-100000")
    same("loads", sum(op.startswith("randwrite-1m-") for op in ops), 4)
    data, rows, out, _ = results(
        *choice, "--plot=out.svg", "--against", f"again={COMMAND} --xattr --cache 'always'",
        "--ops=" + ",".join(ops), *["--peers"] * with_c)
    same("servers", [s["name"] for s in data["servers"]][:len(servers) - 1], servers[:-1])
    for member in ("version", "kernel", "machine", "directory", "processors"):
        check(data[member], f"no {member}")
    servers = [s["name"] for s in data["servers"]]
    same("rows", set(rows), set(itertools.product(ops, CLIENTS, servers)))
    check_refusals(rows)
    check_picture("out.svg", ops, rows)
    check_table(out, ops, servers)


def documents():
    """Tables for a document, one for each client; several rounds; one client alone."""
    out, _ = bench("--rounds=3", "--time=0.001", "--markdown", "--ops=getattr,rename")
    tables = re.findall(r"(?m)(?:^\|.*\n)+", out)
    same("tables", len(tables), 2)
    for table in tables:
        rows = [re.split(r" *\| *", line)[1:-1] for line in table.splitlines()]
        same("columns", {len(row) for row in rows}, {5})
        same("operations", [row[0] for row in rows[2:]], ["getattr", "rename"])
    data, rows, _, _ = results("--client=polls", "--ops=get*,setxattr", "--rounds=4")
    same("operations", {key[:2] for key in rows}, {(op, "polls") for op in (
        "getattr", "getattr-fsync", "getattr-read", "getxattr", "setxattr")})
    same("rounds", (data["rounds"], {len(r["rounds"]) for r in rows.values()}), (4, {4}))


def beside():
    """There are FSYNCs, and as many WRITEs as belong to them; the GETATTRs are those that count."""
    record = os.path.abspath("record")
    _, rows, _, _ = results("--ops=getattr-fsync", "--client=sleeps", f"--daemon-option=--record={record}",
                            "--time=0.05")
    done = subprocess.run([TOOL, "decode", "--summary", record], stdout=subprocess.PIPE, text=True,
                          check=True)
    lines = [line.split() for line in done.stdout.splitlines()]
    asked = {line[0]: int(line[1]) for line in lines if len(line) > 2 and line[1].isdigit()}
    check(asked["FSYNC"] > 0, f"{asked}")
    same("WRITEs", asked["WRITE"], 16 * asked["FSYNC"])
    check(asked["GETATTR"] > rows["getattr-fsync", "sleeps", OURS]["operations"] > 0, f"{asked}")
    _, rows, _, _ = results("--ops=getattr-read", "--client=sleeps", "--time=0.05")
    check(rows["getattr-read", "sleeps", OURS]["operations"] > 0, f"{rows}")


def refusal():
    """A server without extended attributes has no numbers for them, and the others have. What it
    puts beside its socket goes with that."""
    command = f"sh -c 'touch \"%s.pid\"; exec {COMMAND}'"
    data, rows, out, err = results("--against", f"bare={command}", "--ops=getattr,*xattr")
    for op, client in itertools.product(("getxattr", "setxattr"), CLIENTS):
        r = rows[op, client, "bare"]
        check(r["error"] in ("ENOSYS", "EOPNOTSUPP") and r["operations"] == 0, f"{op}: {r}")
        check(re.search(rf"(?m)^ +bare +- +{r['error']} ", out), f"{op} is not in the table:\n{out}")
        check_numbers((op, client, OURS), rows[op, client, OURS])
    check_numbers(("getattr", "polls", "bare"), rows["getattr", "polls", "bare"])
    same("what is said", err, "")
    same("failures", [s["failure"] for s in data["servers"]], [None] * 3)


MORTAL = """
import os, subprocess, sys
daemon = subprocess.Popen(sys.argv[1:], stderr=subprocess.PIPE, text=True)
for line in daemon.stderr:
    if "MKDIR" in line:
        daemon.kill()
        os._exit(3)
"""


def death():
    """A server that dies in the middle: it is told, and the rest goes on. (The daemon cannot get far
    beyond its first MKDIR: its log is a pipe that nobody reads any more.)"""
    rounds = 200
    with open("mortal.py", "w", encoding="utf-8") as f:
        f.write(MORTAL)
    data, rows, _, err = results(
        "--against", f"mortal={sys.executable} {os.path.abspath('mortal.py')} "
        f"{DAEMON} --shared-dir %d --socket-path=%s --log-level trace", f"--rounds={rounds}",
        "--time=0.0001", "--ops=getattr,mkdir-rmdir", "--client=sleeps", status=1)
    mortal = [rows[op, "sleeps", "mortal"] for op in ("getattr", "mkdir-rmdir")]
    same("the operation that died", [r["error"] for r in mortal].count("ENOTCONN"), 1)
    check(mortal[0]["operations"] > 0, "it has not even begun")
    check(all(len(r["rounds"]) < rounds for r in mortal), "it has not died")
    want = "it ended the connection; it ended with status 3"
    check(f"mortal: {want}" in err, f"'{want}' is not said: {err}")
    same("failures", [s["failure"] for s in data["servers"]], [None, want, None])
    for key, r in rows.items():
        if key[2] != "mortal":
            same(f"{key}: rounds", len(r["rounds"]), rounds)


def no_start():
    """Servers that end before they listen, or are not there."""
    data, rows, out, err = results("--against", "none=/no/such/program %d %s", "--against",
                                 "false=false '%d and' \"%s\"", "--ops=getattr", status=1)
    for name, status in (("none", 127), ("false", 1)):
        check(f"{name}: it ended with status {status}" in err, f"{name}: {err}")
        same(name, rows["getattr", "polls", name]["operations"], 0)
        check(re.search(rf"(?m)^ +{name} +- +gone ", out), f"{name} is not gone:\n{out}")
    check_numbers(("getattr", "polls", OURS), rows["getattr", "polls", OURS])
    same("the server's command", data["servers"][2]["command"], ["false", "%d and", "%s"])


def start_long(*args):
    """A run without an end, in the middle of it."""
    process = subprocess.Popen([TOOL, "bench", "--rounds=1000", "--time=0.001", "--ops=getattr,mk*",
                                *args, GROUND], stdout=subprocess.PIPE, text=True)
    # Of the tree's making, of the daemon, of the operation.
    wait_for("running bench", lambda: sharers(GROUND) and
             glob.glob(GROUND + "/*/files/f255") and process.poll() is None, LIMIT)
    return process


def stop(process):
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=LIMIT)
    same("status after SIGINT", process.returncode, 130)
    nothing_left("after SIGINT", GROUND)


def stopped():
    stop(start_long())


def kill(process):
    """Nobody of it stays, but files do."""
    process.kill()
    process.communicate(timeout=LIMIT)
    wait_for("end of all that it had started", lambda: not sharers(GROUND), LIMIT)
    for path in glob.glob(GROUND + "/*") + glob.glob(os.environ["TMPDIR"] + "/causeway-*"):
        shutil.rmtree(path)


def killed():
    kill(start_long())


def idlers(pid):
    """The processors that children of a process keep awake, one each."""
    found = []
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        for child in map(int, f.read().split()):
            if os.sched_getscheduler(child) == os.SCHED_IDLE:
                found += os.sched_getaffinity(child)
    return sorted(found)


def awake():
    for end in stop, kill:
        process = start_long("--awake")
        same("processors that are kept awake", idlers(process.pid), sorted(os.sched_getaffinity(0)))
        end(process)
    process = start_long()
    same("processors, without the option", idlers(process.pid), [])
    stop(process)


BAD = (
    (["--nonsense"], "no option '--nonsense'"),
    (["-x"], "no option '-x'"),
    (["--peers=1"], "--peers takes no argument"),
    (["--rounds=0"], "--rounds: '0' is no number from 1 to 1000"),
    (["--rounds=3x"], "--rounds: '3x'"),
    (["--time=0"], "--time: '0' is no time"),
    (["--time=nan"], "--time: 'nan'"),
    (["--time=1e9"], "--time: '1e9'"),
    (["--depth=1,129"], "--depth: '129' is no number from 1 to 128"),
    (["--depth=4,4"], "--depth: 4 is there twice"),
    (["--depth=1,"], "--depth: ''"),
    (["--depth=1,2,3,4,5,6,7,8,9"], "--depth: more than 8 numbers"),
    (["--queues=17"], "--queues: '17'"),
    (["--client=waits"], "--client: 'waits' is none of: sleeps, polls, both"),
    (["--guest", "--client=polls"], "--client has no meaning with --guest"),
    (["--depth=8", "--guest"], "--depth has no meaning with --guest"),
    (["--caches=cold"], "--caches has no meaning without --guest"),
    (["--guest", "--caches=hot"], "--caches: 'hot' is none of: cold, warm, both"),
    (["--guest", "--caches=cold", "--ops=rename,write-*"], "none of these operations has to do with"),
    (["--guest", "--kernel=/no/such", "--ops=rename"], "--kernel: /no/such: No such file"),
    (["--module=x"], "--module has no meaning without --guest"),
    (["--guest", "--ops=getattr-fsync"], "--ops: no operation is called 'getattr-fsync'"),
    (["--guest", "--module=/no/such", "--ops=rename"], "--module: /no/such: No such file"),
    (["--guest", "--dax=4M", "--module=x"], "--module has no meaning with --dax"),
    (["--ops=getattr,lok*"], "--ops: no operation is called 'lok*'"),
    (["--ops="], "--ops: no operation is called ''"),
    (["--against=x"], "--against needs NAME=COMMAND, not 'x'"),
    (["--against=x="], "--against needs NAME=COMMAND, not 'x='"),
    (["--against=a b=c %d %s"], "'a b' cannot be a name"),
    (["--against=..=c %d %s"], "'..' cannot be a name"),
    (["--against=" + "n" * 25 + "=c %d %s"], "n' cannot be a name"),
    (["--against=causewayd=c %d %s"], "the name 'causewayd' is taken"),
    (["--against=system-calls=c %d %s"], "the name 'system-calls' is taken"),
    (["--against=9p=c %d %s"], "the name '9p' is taken"),
    (["--against=causeway.ko=c %d %s"], "the name 'causeway.ko' is taken"),
    (["--against=a=c %d %s", "--against=a=d %d %s"], "the name 'a' is taken"),
    (["--against=a=c %d"], "a: the command has no %s"),
    (["--against=a=c %s"], "a: the command has no %d"),
    (["--against=a=c %d %s %x"], "a: '%x' is none of"),
    (["--against=a=c %d %s 100%"], "a: '%' is none of"),
    (["--against=a=c '%d %s"], "a: a quote has no end"),
    ([f"--against=a{i}=c %d %s" for i in range(7)], "--against: more than 6 servers"),
    (["--json=/no/such/file"], "/no/such/file: No such file"),
    (["--plot=."], ".: Is a directory"),
    (["."], f"unexpected '{GROUND}': there is one directory"),
)


def bad_lines():
    for args, words in BAD:
        out, err = bench(*args, status=2)
        check(words in err and not out, f"{args}: '{words}' is not said: {err}\n{out}")
    for directory, words in (("nowhere", "nowhere: No such file"), ("file", "file: Not a direc"),
                             ("--rounds", "--rounds needs an argument (N)")):
        with open("file", "w", encoding="utf-8"):
            done = subprocess.run([TOOL, "bench", directory], stderr=subprocess.PIPE, text=True,
                                  check=False)
        same(directory, (done.returncode, words in done.stderr), (2, True))
    os.environ["CAUSEWAYD"] = "/no/such/causewayd"
    _, err = bench(status=2)
    check("/no/such/causewayd cannot be run" in err, err)


for part in (everything, documents, beside, refusal, death, no_start, stopped, killed, awake,
             bad_lines):
    started = time.monotonic()
    part()
    print(f"{part.__name__}: {time.monotonic() - started:.1f} s")

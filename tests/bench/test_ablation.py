# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain full-builds=tsan timeout=240
"""`causeway bench --ablation`, in runs so short that they measure nothing: each mechanism that
causewayd can leave out has a server without it, and a column. By what the daemons counted it was at
work where it was not left out, and was not where it was. A server that does not start has an empty
column; options that mean nothing with it are refused."""
import atexit
import itertools
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

import benched
from benched import check, same

# Sanitizers are for the bench; they cannot live with the daemon's sandbox.
DAEMON = os.path.join(os.environ["CAUSEWAY_PLAIN_BUILD"], "src/daemon/causewayd")
LIMIT = 200
ALL, BOTH = "everything", "neither"
CLIENTS = ("sleeps", "polls")
OPS = ("getattr", "lookup", "lookup-forget", "create-unlink", "fsync")
QUICK = ("--ablation", "--rounds=3", "--time=0.005", "--json=out.json")
EVENT_IDX = 1 << 29
GROUND = os.path.abspath(tempfile.mkdtemp(prefix="cw-bench-ablation-", dir="."))
atexit.register(shutil.rmtree, GROUND, True)


def bench(*args, status=0, daemon=DAEMON):
    """Runs it to its end: (standard output, standard error)."""
    return benched.bench(GROUND, *args, status=status, daemon=daemon, limit=LIMIT)


def results(*args, **how):
    """({server: what is said of it}, {(operation, client, server): result}, standard output,
    standard error)."""
    out, err = bench(*QUICK, *args, **how)
    with open("out.json", encoding="utf-8") as f:
        data = json.load(f)
    rows = {(r["operation"], r["client"], r["server"]): r for r in data["results"]}
    same("rows that are there once", len(rows), len(data["results"]))
    return {s["name"]: s for s in data["servers"]}, rows, out, err


def mechanisms():
    """As the daemon names them, without pins, which only causeway.ko asks for."""
    done = subprocess.run([DAEMON, "--without=nothing"], stderr=subprocess.PIPE, text=True,
                          check=False)
    names = re.search("'nothing' is none of (.*)", done.stderr).group(1).split(", ")
    names.remove("pins")
    return names


def check_columns(servers):
    """One server has all, one lacks each, and one lacks the two that stand in for each other."""
    same("the first", next(iter(servers)), ALL)
    lacks = {name: s["without"] for name, s in servers.items()}
    same("what has everything", lacks.pop(ALL), None)
    same("what has neither", lacks.pop(BOTH), "node-descriptors,file-handles")
    same("mechanisms", sorted(lacks.values()), sorted(mechanisms()))
    same("names", [f"no-{without}" for without in lacks.values()], list(lacks))
    for name, s in servers.items():
        same(f"{name}: left out", [a.split("=")[1] for a in s["command"] if "--without=" in a],
             [s["without"]] if s["without"] else [])
    same("failures", {s["failure"] for s in servers.values()}, {None})


def check_counted(servers):
    counted = {name: s["counted"] for name, s in servers.items()}
    polls = {name: c["polls-caught"] + c["polls-missed"] for name, c in counted.items()}
    same("nobody polls", [name for name, n in polls.items() if not n], ["no-polling"])
    # Otherwise it is chance whether somebody polls when they come.
    same("borrowed", (counted["no-borrowing"]["borrowed"], counted["no-polling"]["borrowed"]), (0, 0))
    same("without the feature", [name for name, s in servers.items()
                                 if not s["features"] & EVENT_IDX], ["no-event-idx"])
    same("without the pool", [name for name, c in counted.items() if not c["pool-jobs"]], ["no-pool"])
    # What has no descriptor is opened by its name as well; with cold nodes such names count as theirs.
    known = {name: counted[name]["names-not-opened"] for name in ("no-cold-nodes", "no-known-names")}
    check(known["no-cold-nodes"] > 0 and known["no-known-names"] == 0, f"not opened: {known}")
    same("opened by what was kept", counted["no-open-cache"]["opens-by-kept"], 0)
    opened = {name: (c["reopened-by-handle"], c["reopened-by-name"]) for name, c in counted.items()}
    check(sum(opened["no-node-descriptors"]) > 10 * (sum(opened[ALL]) + 1), f"reopened: {opened}")
    check(opened[BOTH][0] == 0 and opened[BOTH][1] > 10, f"reopened: {opened}")
    same("by handles", opened["no-file-handles"][0], 0)


def check_table(out, markdown):
    """Time and CPU of each client, and what was counted, with a column for each server."""
    form = (r"(?m)(?:^\|.*\n)+", r" *\| *") if markdown else (r"(?m)^(?:operation|counted) .*\n(?:.+\n)+",
                                                           r"  +")
    tables = [[[cell for cell in re.split(form[1], line) if cell] for line in text.splitlines()]
              for text in re.findall(form[0], out)]
    same("tables", [t[0][0] for t in tables], ["operation"] * 4 + ["counted"])
    for table in tables:
        if markdown:
            table.pop(1)
        same("columns", table[0][1:], [ALL] + [m for m in table[0] if m in mechanisms()] +
             ["both of these"])
        same("widths", {len(line) for line in table}, {len(mechanisms()) + 3})
    for table in tables[:-1]:
        same("operations", [line[0] for line in table[1:]], list(OPS))
    for title in ("The client sleeps; time", "The client polls; CPU time"):
        check(title in out, f"'{title}' is not said:\n{out}")


def everything():
    servers, rows, out, err = results("--ops=" + ",".join(OPS), "--plot=out.svg")
    check_columns(servers)
    check_counted(servers)
    same("rows", set(rows), set(itertools.product(OPS, CLIENTS, servers)))
    for key, r in rows.items():
        check(r["operations"] > 0 and r["error"] is None, f"{key}: {r}")
    check_table(out, False)
    same("what is said", err, "")
    picture = xml.etree.ElementTree.parse("out.svg")
    svg = "{http://www.w3.org/2000/svg}"
    texts = [t.text for t in picture.iter(svg + "text")]
    check(set(servers) - {ALL} <= set(texts), f"the legend: {texts}")
    width = float(picture.getroot().get("width"))
    check(all(float(c.get("cx")) < width for c in picture.iter(svg + "circle")), "out of the picture")


def documents():
    out, _ = bench("--ablation", "--rounds=1", "--time=0.001", "--markdown", "--ops=" + ",".join(OPS))
    check_table(out, True)


def rights():
    """What a GETATTR needs it has from the one before it, or is switched to."""
    if os.geteuid():
        print("rights: needs root")
        return
    servers, rows, _, _ = results("--ops=getattr", "--client=sleeps", "--time=0.05")
    asked = rows["getattr", "sleeps", "no-credentials"]["operations"]
    switched = {name: s["counted"]["rights-switched"] for name, s in servers.items()}
    check(switched.pop("no-credentials") >= asked, f"{asked} GETATTRs: {servers}")
    check(max(switched.values()) < asked / 2, f"for {asked}: {switched}")


REFUSES = f"""#!{sys.executable}
import os, sys
if "--without=pool" in sys.argv:
    sys.exit(3)
os.execv({DAEMON!r}, [{DAEMON!r}, *sys.argv[1:]])
"""


def refusal():
    """An older daemon, that does not know one of them."""
    with open("refuses", "w", encoding="utf-8") as f:
        f.write(REFUSES)
    os.chmod("refuses", stat.S_IRWXU)
    servers, rows, out, err = results("--ops=getattr", status=1, daemon=os.path.abspath("refuses"))
    check("bench: no-pool: it ended with status 3" in err, err)
    same("failures", [name for name, s in servers.items() if s["failure"]], ["no-pool"])
    same("counted", [name for name, s in servers.items() if s["counted"] is None], ["no-pool"])
    for key, r in rows.items():
        same(f"{key}: measured", r["operations"] > 0, key[2] != "no-pool")
    same("empty columns", out.count(" gone "), 4)


BAD = (
    (["--ablation", "--guest"], "--ablation has no meaning with --guest"),
    (["--ablation", "--dax=4M"], "--ablation has no meaning with --dax"),
    (["--ablation", "--shared"], "--ablation has no meaning with --shared"),
    (["--ablation", "--peers"], "--peers has no meaning with --ablation"),
    (["--ablation", "--against=a=b %d %s"], "--against has no meaning with --ablation"),
    (["--ablation=polling"], "--ablation takes no argument"),
)


def bad_lines():
    for args, words in BAD:
        out, err = bench(*args, status=2)
        check(words in err and not out, f"{args}: '{words}' is not said: {err}\n{out}")


for part in (everything, documents, rights, refusal, bad_lines):
    part()
    print(f"{part.__name__}: passed", flush=True)

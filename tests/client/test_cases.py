# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain full-builds=asan,tsan timeout=240
"""The file semantics cases through libcauseway give what they give on the host directory, but for
what ways.py explains and docs/ways.md says: with causewayd without a cache, with one that holds
writes back, and with caches that are coherent by a version table, with the oldest protocol and the
smallest of everything; under --full in all modes of caching, and with QEMU's C virtiofsd, which we
did not write (without sanitizers, to which these have nothing to show: their code is that of the
others). And they make each request that there is, but for those that ways.py names."""
import concurrent.futures
import os
import subprocess
import sys
import tempfile
import time

import fscompare
import ways

SRC = os.environ["CAUSEWAY_SRC"]
ALL = os.environ["CAUSEWAY_FULL"] and os.environ["CAUSEWAY_CHECK_BUILD"] == "plain"
PLAIN = os.environ["CAUSEWAY_PLAIN_BUILD"]
PROGRAM = os.path.join(os.environ["CAUSEWAY_BUILD"], "tests/client/clientcases")
# Sanitizers are for the client here, as in peer.c.
CAUSEWAYD = os.path.join(PLAIN, "src/daemon/causewayd")
VIRTIOFSD = "/usr/lib/qemu/virtiofsd"


def settings(**options):
    return [w for name, value in options.items()
            for w in ("--set", f"{name.replace('_', '-')}={value}")]


# Of the version table of all processes of a run.
TABLES = tempfile.TemporaryDirectory(prefix="causeway-", dir="/dev/shm")
TABLE = os.path.join(TABLES.name, "table")

# The options of each run of ways.RUNS.
OPTIONS = {
    "none": settings(cache="none", daemon_option="--cache=none"),
    "auto": settings(cache="auto", queues=2),
    "auto+writeback": settings(cache="auto", writeback=1),
    "always": settings(cache="always", daemon_option="--cache=always"),
    "always+writeback": settings(cache="always", writeback=1),
    "shared": settings(cache="shared", daemon_option=f"--version-table={TABLE}",
                       version_table=TABLE),
    "oldest": settings(cache="none", daemon_option="--cache=none", minor=31, memory=1 << 20,
                       queue_size=8, regions=8, indirect=0, event_idx=0),
    "virtiofsd": settings(cache="none") + ["--server", "virtiofsd"],
}
# These are for --full without sanitizers.
LONG = ("auto", "always", "always+writeback", "virtiofsd")
# These two make what the others do.
RECORDED = ("none", "oldest")
DAEMON = [w for option in ("--xattr", "--posix-lock", "--flock")
          for w in ("--set", f"daemon-option={option}")]


def run(name, cases):
    """The transcript of a run's cases, and what its processes said besides."""
    os.mkdir(name)
    argv = [PROGRAM, name, "--only", ",".join(cases), "--set", f"daemon={CAUSEWAYD}", *DAEMON,
            *OPTIONS[name]]
    if name in RECORDED:
        os.mkdir(f"{name}-records")
        argv += ["--record", f"{name}-records"]
    done = subprocess.run(argv, capture_output=True, check=False)
    said = done.stderr.decode(errors="replace")
    # The C daemon tells whenever a connection ends.
    said = "\n".join(line for line in said.splitlines() if "Unexpected poll revents" not in line)
    if os.listdir(name):
        said += f"\nleft behind: {os.listdir(name)}"
    if done.returncode:
        said += f"\nended with {done.returncode}"
    return fscompare.read(done.stdout.decode(errors="surrogateescape")), said


def compare(name, oracle):
    """What is wrong with a run."""
    begin = time.monotonic()
    cases = sorted(ways.case_names(SRC) - ways.excluded(name))
    lines, said = run(name, cases)
    wrong = fscompare.differences(fscompare.cases_of(oracle, cases), lines, name,
                                  [e._replace(modes=None) for e in ways.explained(name)])
    print(f"{name}: {len(cases)} cases, {len(wrong)} differences, "
          f"{time.monotonic() - begin:.1f} s", flush=True)
    return [f"{name}: {line}" for line in wrong + said.split("\n") if line]


def sent():
    """Names of the requests in all records."""
    names = set()
    for record in (os.path.join(f"{n}-records", r) for n in RECORDED
                   for r in os.listdir(f"{n}-records")):
        text = subprocess.run([os.environ["CAUSEWAY"], "decode", "--summary", record], check=True,
                              text=True, stdout=subprocess.PIPE).stdout
        names.update(line.split()[0] for line in text.split("\n\n")[0].splitlines()[1:])
    return names


def main():
    os.mkdir("host")
    oracle = fscompare.run_here("host")
    runs = [r for r in ways.RUNS if ALL or r not in LONG]
    if not os.access(VIRTIOFSD, os.X_OK) and "virtiofsd" in runs:
        runs.remove("virtiofsd")
    # Two at a time: most of it is waiting for processes to begin and to end.
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        wrong = [line for lines in pool.map(lambda name: compare(name, oracle), runs)
                 for line in lines]
    unsent = ways.served_opcodes(SRC) - sent()
    if unsent != set(ways.UNSENT):
        wrong.append(f"not sent: {sorted(unsent)}, in ways.py: {sorted(ways.UNSENT)}")
    print("\n".join(wrong))
    sys.exit(1 if wrong else 0)


main()

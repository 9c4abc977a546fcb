# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of `causeway bench` share: how they fail, and what a run must not leave behind."""
import glob
import os
import subprocess
import time

TOOL = os.path.join(os.environ["CAUSEWAY_BUILD"], "tools/causeway")


def check(condition, text):
    if not condition:
        raise SystemExit(text)


def same(what, got, want):
    check(got == want, f"{what}: {got!r}, not {want!r}")


def wait_for(what, condition, limit):
    deadline = time.monotonic() + limit
    while not condition():
        check(time.monotonic() < deadline, f"no {what} after {limit} s")
        time.sleep(0.01)


def sharers(ground):
    """Pids of daemons and QEMUs that have something below a directory."""
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as f:
                if ground.encode() in f.read() and int(path.split("/")[2]) != os.getpid():
                    found.append(int(path.split("/")[2]))
        except OSError:
            continue
    return found


def nothing_left(what, ground):
    same(f"{what}: processes", sharers(ground), [])
    same(f"{what}: the tree", os.listdir(ground), [])
    same(f"{what}: sockets", glob.glob(os.path.join(os.environ["TMPDIR"], "causeway-*")), [])


def bench(ground, *args, status, daemon, limit):
    """Runs `causeway bench` on a tree to its end: (standard output, standard error)."""
    done = subprocess.run([TOOL, "bench", *args, ground], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.PIPE, timeout=limit, check=False,
                          env={**os.environ, "CAUSEWAYD": daemon})
    check(done.returncode == status, f"{args}: status {done.returncode}, not {status}\n"
                                     f"{done.stdout}\n{done.stderr}")
    nothing_left(args, ground)
    return done.stdout, done.stderr

#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The test runner behind ./check: builds what the chosen tests need, finds the tests, runs two at
a time, more while processors idle, and says what came of each.

A test is a file. A line `check: ...` among its first 30 lines says what it needs:

    builds=plain,asan,tsan   builds it runs with     full-builds=asan   more of them under --full
    full                     only under --full       timeout=240        seconds until it hangs
    needs=git,fio            programs                jobs=2             processors that it keeps busy
    alone                    nothing may run beside it

Under --full, what failed or hung with another test beside it is run once more at the end, alone, and
that run counts: guests are emulated, and a machine may be busy. The first run is shown all the same,
and the names are repeated at the end, since such a test, or what it tests, is not good. What
crashed or had a sanitizer's report is not run again. What has failed alone as well is run a third
time where a guest died of the emulator (died_of_emulator()).
"""
import argparse
import fnmatch
import glob
import os
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(HERE, "lib"))
import jobs  # noqa: E402

# build → (directory, Meson options, what a time limit is multiplied by)
BUILDS = {
    "plain": ("build", [], 1),
    "asan": ("build-asan", ["-Db_sanitize=address,undefined", "-Db_lundef=false"], 2),
    "tsan": ("build-tsan", ["-Db_sanitize=thread", "-Db_lundef=false"], 3),
}
# folder → (patterns of files, builds where the file does not say, and those with --full besides)
FOLDERS = {
    "static": ("*.py", "plain", ""),
    "unit": ("test_*.c", "plain,asan", "tsan"),
    "proto": ("test_*.py", "plain,asan", "tsan"),
    "client": ("test_*.c test_*.py", "plain,asan,tsan", ""),
    "mount": ("test_*.py", "plain", ""),
    "bench": ("test_*.py", "plain", ""),
    "fuzz": ("test_*.py", "plain", ""),
    "fs": ("test_*.py", "plain", ""),
    "model": ("*.pml", "plain", ""),
    "vm": ("test_*.py", "plain", ""),
}
PARALLEL = 2
MORE = 3  # besides, one test at a time
LOG_LINES = 200


class Test:
    """One test with one build; the name is what ./check prints and takes."""

    def __init__(self, path, folder, build, needs):
        self.path = path
        self.build = build
        stem = re.sub(r"^test_", "", os.path.splitext(os.path.basename(path))[0])
        self.name = f"{folder}/{stem}" + ("" if build == "plain" else f"@{build}")
        self.full = "full" in needs
        self.timeout = int(needs.get("timeout", 240)) * BUILDS[build][2]
        self.jobs = int(needs.get("jobs", 1))
        self.alone = "alone" in needs
        self.programs = [p for p in needs.get("needs", "").split(",") if p]

    def argv(self):
        if self.path.endswith(".c"):
            name = os.path.splitext(os.path.relpath(self.path, ROOT))[0]
            return [os.path.join(ROOT, BUILDS[self.build][0], name)]
        if self.path.endswith(".pml"):
            return ["/usr/bin/python3", os.path.join(HERE, "model", "spin.py"), self.path]
        return ["/usr/bin/python3", "-X", "faulthandler", self.path]

    def missing(self):
        path = os.environ["PATH"] + ":/usr/sbin:/sbin"
        return [p for p in self.programs if not shutil.which(p, path=path)]


def read_needs(path):
    """The `check:` line as a dictionary; a bare word maps to an empty string."""
    with open(path, encoding="utf-8") as f:
        for _, line in zip(range(30), f):
            m = re.match(r"^\s*(?://|#|\*|/\*)\s*check:\s*(.*?)(?:\s*\*/)?$", line)
            if m:
                return dict((w.split("=", 1) + [""])[:2] for w in m.group(1).split())
    return {}


def discover(full):
    tests = []
    for folder, (patterns, default, default_full) in FOLDERS.items():
        paths = [p for pattern in patterns.split()
                 for p in glob.glob(os.path.join(HERE, folder, pattern))]
        for path in sorted(paths):
            needs = read_needs(path)
            builds = needs.get("builds", default).split(",")
            full_builds = needs.get("full-builds", "" if "builds" in needs else default_full)
            more = [b for b in full_builds.split(",") if b and b not in builds]
            for build in builds + more:
                test = Test(path, folder, build, needs)
                test.full = test.full or build in more
                tests.append(test)
    return tests


def choose(tests, names, full):
    """Without names: all, those for --full only with it. A name that is exact always counts."""
    if not names:
        return [t for t in tests if full or not t.full]

    def wanted(test):
        for n in names:
            if n == test.name:
                return True
            if (full or not test.full) and (n in test.name or fnmatch.fnmatch(test.name, n)):
                return True
        return False

    return [t for t in tests if wanted(t)]


def run_logged(argv, log):
    log.write("$ " + " ".join(argv) + "\n")
    log.flush()
    return subprocess.run(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log,
                          stderr=subprocess.STDOUT).returncode


def build(name, logs):
    """Configure and compile one build; returns (success, log file)."""
    directory, options, _ = BUILDS[name]
    path = os.path.join(logs, f"build@{name}.log")
    with open(path, "w") as log:
        if not os.path.exists(os.path.join(ROOT, directory, "build.ninja")):
            if run_logged(["meson", "setup", directory, "--werror", *options], log):
                return False, path
        return run_logged(["ninja", "-C", directory], log) == 0, path


def program(directory, name):
    for path in glob.glob(os.path.join(directory, "**", name), recursive=True):
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return os.path.join(directory, name)


def environment(build_name, full):
    directory = os.path.join(ROOT, BUILDS[build_name][0])
    plain = os.path.join(ROOT, BUILDS["plain"][0])
    return {
        "CAUSEWAY_SRC": ROOT,
        "CAUSEWAY_BUILD": directory,
        "CAUSEWAY_PLAIN_BUILD": plain,
        "CAUSEWAYD": program(directory, "causewayd"),
        "CAUSEWAY": program(plain, "causeway"),
        "CAUSEWAY_CHECK_BUILD": build_name,
        "CAUSEWAY_FULL": "1" if full else "",
        "PYTHONPATH": os.path.join(HERE, "lib"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "LC_ALL": "C.UTF-8",
        "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin",
    }


class Report:
    """Counts verdicts and prints a line for each, with the log where a test failed."""

    def __init__(self):
        self.count = {"ok": 0, "FAIL": 0, "skip": 0}
        self.later = {}  # tests that were run again: how they failed at first
        self.waiting = []  # those that are to be run again

    def add(self, verdict, name, seconds, reason="", log=None):
        self.count[verdict] += 1
        self.show(verdict, name, seconds, reason, log)

    def put_off(self, test, seconds, reason, log):
        self.later.setdefault(test, reason)
        self.waiting.append(test)
        self.show("FAIL", test.name, seconds, f"{reason}; again at the end", log)

    @staticmethod
    def show(verdict, name, seconds, reason, log):
        print(f"{verdict:4} {name:34} {seconds:7.1f} s" + (f"  {reason}" if reason else ""),
              flush=True)
        if verdict == "FAIL" and log and os.path.exists(log):
            with open(log, errors="replace") as f:
                lines = f.read().splitlines()
            if len(lines) > LOG_LINES:
                print(f"    | ... {len(lines) - LOG_LINES} lines more in {log}")
            for line in lines[-LOG_LINES:]:
                print("    | " + line)
            sys.stdout.flush()

    def finish(self):
        for test, reason in self.later.items():
            print(f"at first {test.name} failed: {reason}")
        print(f"{self.count['ok']} passed, {self.count['FAIL']} failed, "
              f"{self.count['skip']} skipped", flush=True)
        return 1 if self.count["FAIL"] else 0


def build_all(tests, report, logs):
    """Builds that the tests need; returns the set of those that worked."""
    needed = {t.build for t in tests} | {"plain"}
    good = set()
    for name in (b for b in BUILDS if b in needed):
        start = time.monotonic()
        worked, log = build(name, logs)
        report.add("ok" if worked else "FAIL", f"build@{name}", time.monotonic() - start, "", log)
        if worked:
            good.add(name)
    return good


def runnable(tests, good, report):
    """Tests that can be started; the others are reported here."""
    ready = []
    for t in tests:
        argv = t.argv()
        if t.build not in good or "plain" not in good:
            report.add("FAIL", t.name, 0, "not built")
        elif not os.path.exists(argv[-1]):
            report.add("FAIL", t.name, 0, f"{os.path.relpath(argv[-1], ROOT)} was not built")
        elif t.missing():
            report.add("skip", t.name, 0, "not installed: " + " ".join(t.missing()))
        else:
            ready.append(t)
    return ready


class Idle:
    """Whether the processors have time for one more test: many wait for something most of the time."""

    SECONDS = 1.0  # that are looked at
    ENOUGH = 0.25  # of what all processors can do

    def __init__(self):
        self.since, self.idle = time.monotonic(), self._idle()

    @staticmethod
    def _idle():
        """Seconds, on average of the processors that are ours."""
        ours = {f"cpu{n}" for n in os.sched_getaffinity(0)}
        with open("/proc/stat", encoding="ascii") as f:
            lines = [line.split() for line in f]
        ticks = sum(int(line[4]) + int(line[5]) for line in lines if line[0] in ours)
        return ticks / os.sysconf("SC_CLK_TCK") / len(ours)

    def is_enough(self):
        """Asked often, as long as it matters; says so once for each time that it looks at."""
        passed = time.monotonic() - self.since
        if passed < self.SECONDS:
            return False
        idle = self._idle() - self.idle
        self.__init__()
        return passed < 2 * self.SECONDS and idle / passed > self.ENOUGH


def may_be_load(reason):
    """Whether a busy machine can make a test fail so."""
    return re.match(r"no end after|exit status (?!99$)", reason)


def died_of_emulator(log):
    """Whether a guest's kernel met an int3 where there is none, a machine that was woken up did not come
    to its kernel (busy.py), or QEMU lost count of its pieces of memory. Linux patches its code with
    int3s, and QEMU's emulation of several processors may let one of them run such an int3 after the next
    byte has replaced it: at boot, and seldom. Nothing of ours has any, and none runs in firmware."""
    with open(log, errors="replace") as f:
        return re.search("Oops: int3|is still in its firmware|iotlb_to_section: Assertion", f.read())


def in_order(tests):
    """As their folders, whose first ones are quick and tell of most mistakes; in a folder those that may
    take long before the others, lest one is left at the end. Those that want the machine for
    themselves come last, together: before each of them all others have to end."""
    folders = list(FOLDERS)
    return sorted(tests, key=lambda t: (t.alone, folders.index(t.name.split("/", 1)[0]), -t.timeout))


def run_tests(tests, full, report, logs, again, parallel=PARALLEL):
    """again(reason, log): whether what has failed so is to be run once more, later."""
    waiting, running, idle = in_order(tests), [], Idle()

    def has_room(t):
        if not running:
            return True
        if t.alone or running[-1].test.alone:
            return False
        load = sum(j.test.jobs for j in running) + t.jobs
        return load <= parallel or (parallel > 1 and load <= parallel + MORE and idle.is_enough())

    try:
        while waiting or running:
            for t in list(waiting):
                if not has_room(t):
                    break
                waiting.remove(t)
                log = os.path.join(logs, t.name.replace("/", "-") + ".log")
                running.append(jobs.Job(t, t.argv(), environment(t.build, full), log))
            for j in list(running):
                verdict = j.poll()
                if not verdict:
                    continue
                running.remove(j)
                if verdict[0] == "FAIL" and full and again(verdict[1], j.log_path):
                    report.put_off(j.test, j.seconds(), verdict[1], j.log_path)
                else:
                    report.add(verdict[0], j.test.name, j.seconds(), verdict[1], j.log_path)
            time.sleep(0.02)
    finally:
        for j in running:
            j.stop()


def main():
    parser = argparse.ArgumentParser(prog="./check", description="Build, and run the tests.")
    parser.add_argument("--full", action="store_true", help="also the long runs")
    parser.add_argument("--list", action="store_true", help="print the names of the tests")
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help="part of a test's name, or a pattern for all of it")
    args = parser.parse_args()
    tests = choose(discover(args.full), args.names, args.full)
    if args.list:
        for t in tests:
            print(t.name)
        return 0
    if args.names and not tests:
        print(f"no test is called {' or '.join(args.names)}; ./check --list names them")
        return 2
    jobs.become_subreaper()
    logs = os.path.join(ROOT, BUILDS["plain"][0] + "-logs")
    os.makedirs(logs, exist_ok=True)
    report = Report()
    good = build_all(tests, report, logs)
    run_tests(runnable(tests, good, report), args.full, report, logs,
              lambda reason, log: may_be_load(reason))
    for again in (lambda reason, log: died_of_emulator(log), lambda reason, log: False):
        waiting, report.waiting = report.waiting, []
        run_tests(waiting, args.full, report, logs, again, parallel=1)
    return report.finish()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

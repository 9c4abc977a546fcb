# SPDX-License-Identifier: BSD-2-Clause
"""Proves a model of the version table with spin, and that the proof is worth something.

    /usr/bin/python3 tests/model/spin.py MODEL.pml [RULE]

The head of a model says which runs there are, a line each:

    with NAME=VALUE...      a run that must find nothing (there is one without any as well)
    without RULE [NAME=VALUE...]: what it breaks        a run that must find an error
    reaches PLACE: what happens there                   the first run must come by

Each place and each rule of the text has its line, so that none is forgotten. With RULE, that run
alone is made and what it finds is shown step by step.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

FOLDER = os.path.dirname(os.path.abspath(__file__))
MEMORY_MB = 1800
DEPTH = 1000000
LINE = re.compile(r"^ \* +(with|without|reaches) +((?:\w+(?:=\w+)?)(?: +\w+=\w+)*)(?:: .*)?$", re.M)


class Failure(Exception):
    """What is wrong, for whoever reads the log."""


def runs_of(text):
    """(kind, name, definitions) of each run."""
    yield "with", "nothing left out", []
    for kind, words in LINE.findall(text):
        if kind == "with":
            yield kind, words, words.split()
        elif kind == "without":
            yield kind, words.split()[0], words.split()


def examine_head(text):
    """Every switch and every place has its run, and the other way round."""
    variables = set(re.findall(r"^#ifndef (\w+)\n#define \1 |^ \* with (\w+)=", text, re.M))
    variables = {name for pair in variables for name in pair}
    switches = set(re.findall(r"^#ifn?def (\w+)$", text, re.M)) - variables
    places = set(re.findall(r"reached\((\w+)\)", text))
    for kind, used in (("without", switches), ("reaches", places)):
        told = {words.split()[0] for k, words in LINE.findall(text) if k == kind}
        if told != used:
            raise Failure(f"`{kind}` lines and the text differ in: {sorted(told ^ used)}")


def run(argv, cwd):
    done = subprocess.run(argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    return done.returncode, done.stdout


def must_run(argv, cwd):
    status, out = run(argv, cwd)
    if status:
        raise Failure(f"{' '.join(argv)}: exit status {status}\n{out}")
    return out


def build(path, definitions, thorough, folder):
    """Text, verifier, program. The first error is what a faulty model is for: it need not be fast."""
    must_run(["gcc", "-E", "-P", "-x", "c", "-undef", f"-I{FOLDER}",
              *(f"-D{d}" for d in definitions), path, "-o", "model"], folder)
    must_run(["spin", "-a", "model"], folder)
    must_run(["gcc", "-O2" if thorough else "-O0", "-w", "-DSAFETY", "-DCOLLAPSE", "-DVECTORSZ=2048",
              f"-DMEMLIM={MEMORY_MB}", "-o", "pan", "pan.c"], folder)


def verify(folder):
    """(errors, states, what pan said)."""
    _, out = run(["./pan", f"-m{DEPTH}", "-w20"], folder)
    found = re.search(r"errors: (\d+)", out)
    states = re.search(r"([\d.e+]+) states, stored", out)
    if not found or not states:
        raise Failure(f"the verifier did not come to an end:\n{out}")
    if not int(found[1]) and re.search(r"Search not completed|max search depth too small", out):
        raise Failure(f"not everything was looked at:\n{out}")
    return int(found[1]), int(float(states[1])), out


def one(path, text, run_, show):
    kind, name, definitions = run_
    folder = tempfile.mkdtemp(prefix="model-")
    try:
        build(path, definitions, kind == "with", folder)
        errors, states, out = verify(folder)
        trail = ""
        if errors and (show or kind == "with"):
            trail = run(["spin", "-t", "-p", "-g", "-l", "model"], folder)[1]
    finally:
        shutil.rmtree(folder)
    if kind == "with" and errors:
        raise Failure(f"an error:\n{out}\n{trail}")
    if kind == "without" and not errors:
        raise Failure(f"finds nothing in {states} states: the model is blind")
    if kind == "without" and not re.search("assertion violated|invalid end state", out):
        raise Failure(f"another error than what is meant:\n{out}")
    places = {words for k, words in LINE.findall(text) if k == "reaches"}
    if not definitions and places - set(re.findall(r"(?m)^reached (\w+)$", out)):
        raise Failure(f"does not come by everywhere ({sorted(places)}):\n{out}")
    return states, trail


def main():
    path = os.path.abspath(sys.argv[1])
    with open(path, encoding="utf-8") as f:
        text = f.read()
    runs = list(runs_of(text))
    only = sys.argv[2] if len(sys.argv) > 2 else None
    try:
        examine_head(text)
    except Failure as e:
        sys.exit(f"{os.path.basename(path)}: {e}")
    wrong = 0
    for this in runs:
        kind, name, _ = this
        if only and name != only:
            continue
        try:
            states, trail = one(path, text, this, only)
            print(f"{kind} {name}: {'holds' if kind == 'with' else 'fails as it shall'}, "
                  f"{states} states\n{trail}", end="", flush=True)
        except Failure as e:
            wrong += 1
            print(f"{kind} {name}: {e}", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()

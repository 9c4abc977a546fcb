# SPDX-License-Identifier: BSD-2-Clause
"""Every option that --help names is in the man page, and the man page names no other; so for the
daemon and for each subcommand of `causeway`."""
import glob
import os
import re
import subprocess
import sys

ROOT = os.environ["CAUSEWAY_SRC"]
OPTION = r"--[a-z][a-z0-9-]*"


def helped(argv):
    """Options at the head of the lines of --help: `  -s, --long ARG   text`."""
    done = subprocess.run(argv + ["--help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)} --help: status {done.returncode}\n{done.stdout}")
    found = set()
    for line in done.stdout.splitlines():
        m = re.match(rf"\s+(?:-\w,? (?:\w+, )?)?({OPTION}(?:,\s*{OPTION})*)", line)
        if m:
            found.update(re.findall(OPTION, m.group(1)))
    return found


def documented(page):
    """Options at the head of paragraphs of the page: `*--long* _ARG_`, also after `*-s*, `."""
    found = set()
    with open(page, encoding="utf-8") as f:
        for line in f:
            if re.match(r"\s*\*-", line):
                found.update(re.findall(OPTION, re.sub(r"_[^_]*_", "", line).replace("\\", "")))
    return found


def page_of(name):
    pages = glob.glob(os.path.join(ROOT, "man", name + ".[18].scd"))
    if not pages:
        raise SystemExit(f"man/ has no page {name}")
    return pages[0]


def subcommands(program):
    """Words at the head of the lines of `causeway --help`, those with a page of their own."""
    text = subprocess.run([program, "--help"], stdout=subprocess.PIPE, text=True,
                          check=False).stdout
    words = re.findall(r"^\s+(?:causeway )?([a-z]+)\s", text, re.M)
    return [w for w in dict.fromkeys(words)
            if glob.glob(os.path.join(ROOT, "man", f"causeway-{w}.[18].scd"))]


def main():
    pairs = [([os.environ["CAUSEWAYD"]], "causewayd")]
    with open(page_of("causeway"), encoding="utf-8") as f:
        page, text = f.read(), subprocess.run([os.environ["CAUSEWAY"], "--help"], check=True,
                                              stdout=subprocess.PIPE, text=True).stdout
    pairs += [([os.environ["CAUSEWAY"], w], f"causeway-{w}")
              for w in subcommands(os.environ["CAUSEWAY"])]
    if len(pairs) == 1:
        pairs.append(([os.environ["CAUSEWAY"], "vm"], "causeway"))
    wrong = [f"causeway: {w} is in one of --help and causeway(1) only"
             for w in sorted(set(re.findall(r"^  ([a-z]+) ", text, re.M)) ^
                             set(re.findall(r"^\*([a-z]+)\*$", page, re.M)))]
    wrong += [f"causeway: {o} is in one of --help and causeway(1) only"
              for o in sorted(set(re.findall(OPTION, text)) ^ set(re.findall(OPTION, page)))]
    for argv, name in pairs:
        page = page_of(name)
        there, told = helped(argv), documented(page)
        if not there:
            wrong.append(f"{' '.join(argv)} --help names no option")
        wrong += [f"{name}: {o} is not in {os.path.basename(page)}" for o in sorted(there - told)]
        wrong += [f"{name}: {o} of {os.path.basename(page)} is not in --help"
                  for o in sorted(told - there)]
        print(f"{name}: {len(there)} options")
    print("\n".join(wrong))
    sys.exit(1 if wrong else 0)


main()

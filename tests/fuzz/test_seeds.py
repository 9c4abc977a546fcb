# SPDX-License-Identifier: BSD-2-Clause
"""The seeds in fuzz/corpus/ are what fuzz/seeds.py makes: whoever changes an input's format runs it
again."""
import os
import shutil
import subprocess
import sys

SRC = os.environ["CAUSEWAY_SRC"]


def files(directory):
    found = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as f:
                found[os.path.relpath(path, directory)] = f.read()
    return found


os.mkdir("fuzz")
shutil.copy(os.path.join(SRC, "fuzz", "seeds.py"), "fuzz")
subprocess.run([sys.executable, os.path.join("fuzz", "seeds.py")], check=True)
made, kept = files(os.path.join("fuzz", "corpus")), files(os.path.join(SRC, "fuzz", "corpus"))
stale = [n for n in made if kept.get(n) != made[n]]
stale += [n for n in kept if os.path.basename(n).startswith("seed-") and n not in made]
print(f"{len(made)} seeds", *stale, sep="\n")
sys.exit(1 if stale or not made else 0)

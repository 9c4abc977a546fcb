# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain,asan,tsan timeout=60
"""Each input of fuzz/corpus/ once more, through the fuzzers built without libFuzzer; and the seeds
are what fuzz/seeds.py makes."""
import os
import shutil
import subprocess
import sys

SRC, BUILD = os.environ["CAUSEWAY_SRC"], os.environ["CAUSEWAY_BUILD"]
CORPUS = os.path.join(SRC, "fuzz", "corpus")


def files(directory):
    return {os.path.relpath(os.path.join(d, n), directory): open(os.path.join(d, n), "rb").read()
            for d, _, names in os.walk(directory) for n in names}


bad = []
for target in sorted(os.listdir(CORPUS)):
    wanted = len(os.listdir(os.path.join(CORPUS, target)))
    done = subprocess.run([os.path.join(BUILD, "fuzz", target), os.path.join(CORPUS, target)],
                          stdout=subprocess.PIPE, text=True, errors="replace")
    print(done.stdout)
    if done.returncode != 0 or f"{wanted} inputs" not in done.stdout.splitlines()[-1:]:
        bad.append(f"{target}: exit status {done.returncode}")

os.mkdir("fuzz")
shutil.copy(os.path.join(SRC, "fuzz", "seeds.py"), "fuzz")
subprocess.run([sys.executable, os.path.join("fuzz", "seeds.py")], check=True)
kept = files(CORPUS)
for name, data in files(os.path.join("fuzz", "corpus")).items():
    if kept.get(name) != data:
        bad.append(f"{name} is not what fuzz/seeds.py makes: run it again")
print("\n".join(bad))
sys.exit(1 if bad else 0)

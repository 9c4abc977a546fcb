# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain,asan timeout=120
"""The fuzzers' corpus once: inputs that broke something once are in it. Not under ThreadSanitizer:
two queues that are told to write to one place race in guest memory, which is the guest's affair."""
import os
import subprocess
import sys

CORPUS = os.path.join(os.environ["CAUSEWAY_SRC"], "fuzz/corpus")
failed = []
targets = sorted(os.listdir(CORPUS))
for target in targets:
    program = os.path.join(os.environ["CAUSEWAY_BUILD"], "fuzz", target)
    directory = os.path.join(CORPUS, target)
    inputs = len(os.listdir(directory))
    os.mkdir(target)
    done = subprocess.run([program, directory], cwd=target, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    seen = done.stdout.count(directory)
    print(f"{target}: {seen} of {inputs} inputs, status {done.returncode}")
    if done.returncode or seen < inputs or not inputs:
        failed.append(target)
        print(done.stdout[-4000:])
sys.exit(1 if failed or not targets else 0)

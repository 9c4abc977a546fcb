# SPDX-License-Identifier: BSD-2-Clause
# check: full timeout=600 jobs=2
"""The fuzzers, for twenty seconds each."""
import os
import subprocess
import sys

SRC = os.environ["CAUSEWAY_SRC"]
env = {k: v for k, v in os.environ.items() if not k.endswith("SAN_OPTIONS")}
sys.exit(subprocess.run([os.path.join(SRC, "fuzz", "run"), "--seconds", "20"], env=env).returncode)

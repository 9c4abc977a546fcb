# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=900 jobs=2
"""The fuzzers at work on the real entry points, from their corpus: each for 20 seconds, or 30 under
--full. What one finds counts at once (fuzz/run)."""
import os
import subprocess
import sys

SRC = os.environ["CAUSEWAY_SRC"]
if subprocess.run([os.path.join(SRC, "tools/setup"), "fuzz"], check=False).returncode:
    print("tools/setup can't get clang")
    sys.exit(77)
# What earlier runs found stays with the build, like the build itself.
SECONDS = "30" if os.environ["CAUSEWAY_FULL"] else "20"
sys.exit(subprocess.run([os.path.join(SRC, "fuzz/run"), "--seconds", SECONDS],
                        check=False).returncode)

# SPDX-License-Identifier: BSD-2-Clause
# check: full timeout=300
"""Landlock, in a guest whose kernel has it: the daemon runs there, with a front-end that forges
requests (tests/proto/test_landlock.py)."""
import os
import shutil

from guest import CAUSEWAYD, SRC, Guest, check, same

os.chmod(".", 0o755)
shutil.copytree(os.path.join(SRC, "tests/proto"), "proto")
shutil.copy(CAUSEWAYD, "daemon")
guest = Guest("--memory", "512M")
lsm = guest.run("mkdir -p /sys/kernel/security; mount -t securityfs none /sys/kernel/security; "
                "cat /sys/kernel/security/lsm")
check("landlock" in lsm, f"the guest's kernel has no Landlock: {lsm}")
here = os.getcwd()
status, text = guest.try_run(f"cd {here}/proto && CAUSEWAYD={here}/daemon /usr/bin/python3 test_landlock.py", 120)
print(text)
same("status of the cases", status, 0)
check("6 ok, 0 failed, 0 skipped" in text, "not all cases ran")
same("status", guest.close(), 0)

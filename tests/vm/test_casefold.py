# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=600 needs=mkfs.ext4
"""Names that are not compared byte by byte, on file systems that few hosts can mount: the unit test
of such mounts again, in a guest whose kernel has ext4 with casefold, where it must not be skipped."""
import os
import re
import shutil

from guest import Guest, check, host, setup_path, warnings_of

PROGRAM = "test_version_mounts"
# Those that are skipped where there is no such file system.
CASES = ("test_casefold", "test_folding_mount", "test_asked")

os.mkdir("share")
shutil.copy(os.path.join(os.environ["CAUSEWAY_PLAIN_BUILD"], "tests/unit", PROGRAM), "share")
kernel, modules = setup_path("kernel-6.1")
loop = host(f"find {modules} -name 'loop.ko*'").split()
check(loop, f"no loop module in {modules}")
guest = Guest("--kernel", kernel, "--share", "share:x", "--root", "host", "--module", loop[0])
status, text = guest.try_run(f"TMPDIR=/tmp PATH=$PATH:/usr/sbin:/sbin /mnt/x/{PROGRAM}")
print(text)
check(status == 0, f"status {status}\n{text}")
for case in CASES:
    check(re.search(rf"OK \] {case}\n", text), f"{case} has not passed in the guest:\n{text}")
check(not warnings_of(guest), "\n".join(warnings_of(guest)))
guest.close()

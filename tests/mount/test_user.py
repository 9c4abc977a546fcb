# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=120 needs=fusermount3,unshare,setpriv
"""An ordinary user mounts and unmounts through fusermount3: in the foreground and background, and
also when the process is killed. In a mount namespace where everybody may open /dev/fuse, as on most
machines."""
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys

import mounted
from guest import check, same, skip, wait_for
from mounted import is_mounted, lives

# fusermount3 wants one that has a name.
USER = pwd.getpwnam("nobody").pw_uid

if "inside" not in sys.argv:
    sys.exit(subprocess.run(["unshare", "-m", sys.executable, __file__, "inside"],
                            check=False).returncode)

# Where others can reach them.
os.chmod(".", 0o755)
PROGRAM = shutil.copy(mounted.PROGRAM, os.path.abspath("causeway"))
ENVIRONMENT = {**os.environ, "CAUSEWAYD": shutil.copy(mounted.DAEMON, os.path.abspath("causewayd"))}


def as_user(*command):
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *command]


def run(*command):
    done = subprocess.run(as_user(*command), env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                          check=False)
    return done.returncode, done.stdout


os.mknod("fuse", 0o666 | stat.S_IFCHR, os.makedev(10, 229))
os.chmod("fuse", 0o666)
if subprocess.run(["mount", "--bind", "fuse", "/dev/fuse"], check=False).returncode:
    skip("/dev/fuse cannot be replaced")
for name in ("share", "m"):
    os.mkdir(name)
    os.chown(name, USER, USER)
share, point = os.path.abspath("share"), os.path.abspath("m")
with open("share/file", "w", encoding="ascii") as f:
    f.write("content")

same("mounting", run(PROGRAM, "mount", share, point, "-o", "fsname=a\\,b"), (0, ""))
same("file", run("cat", f"{point}/file"), (0, "content"))
same("making a file", run("touch", f"{point}/new"), (0, ""))
same("its owner", os.stat("share/new").st_uid, USER)
with open("/proc/self/mounts", encoding="ascii") as f:
    line = next(words for words in map(str.split, f) if words[1] == point)
same("source and type", line[0] + " " + line[2], "a,b fuse.causeway")
check({"nosuid", "nodev", f"user_id={USER}", "default_permissions"} <= set(line[3].split(",")),
      f"options: {line[3]}")
same("root looks", subprocess.run(["ls", point], stderr=subprocess.DEVNULL, check=False).returncode,
     2)
same("unmounting", run("fusermount3", "-u", point), (0, ""))

status, said = run(PROGRAM, "mount", share, point, "-o", "allow_other")
check(status == 1 and "user_allow_other" in said and "fusermount3 has not mounted it" in said,
      f"allow_other: status {status}, said {said!r}")
for number, want in ((signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)):
    with subprocess.Popen(as_user(PROGRAM, "mount", share, point, "-f"), env=ENVIRONMENT) as process:
        wait_for("mount", lambda: is_mounted(point) or not lives(process.pid))
        same("file", run("cat", f"{point}/file"), (0, "content"))
        process.send_signal(number)
        same(f"status after {number}", process.wait(30), want)
    wait_for("unmount", lambda: not is_mounted(point))

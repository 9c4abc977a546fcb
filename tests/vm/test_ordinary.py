# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=300
"""A daemon that an ordinary user has started: its sandbox is a user namespace, all files are that
user's, and what would need another id says so. With ids translated, the guest's root and users see
the files as theirs."""
import os
import shutil
import subprocess

from guest import BUILD, Daemon, Guest, check, fast_qemu, same, skip

USER = 65534

if os.getuid() or BUILD != "plain":
    skip("needs root, to become somebody else, and the sandbox")
os.chmod(".", 0o777)
for directory in ("plain", "mine"):
    os.mkdir(directory)
    os.chown(directory, USER, USER)
daemons = [Daemon("plain", name="plain", user=USER),
           Daemon("mine", f"--translate-uid=squash-guest:0:{USER}:{USER}",
                  f"--translate-gid=squash-guest:0:{USER}:{USER}",
                  f"--translate-uid=host:{USER}:0:1", f"--translate-gid=host:{USER}:0:1",
                  name="mine", user=USER)]
guest = Guest(*fast_qemu(), *[o for d in daemons for o in ("--socket", f"{d.socket}:{d.name}")])
for d in daemons:
    check(os.readlink(f"/proc/{d.pid}/ns/user") != os.readlink("/proc/self/ns/user"),
          f"{d.name} has no user namespace")

# As that user all works, and as nobody else.
work = "mkdir d && echo text > d/f && mv d/f d/g && ln d/g h && ln -s g d/l && cat d/l && rm -r d"
setpriv = f"setpriv --reuid {USER} --regid {USER} --clear-groups sh -ec"
same("work of its user", guest.run(f"cd /mnt/plain && {setpriv} '{work}'"), "text\n")
same("owner on the host", os.stat("plain/h").st_uid, USER)
status, text = guest.try_run("cd /mnt/plain && chown 1000 h")
# An id that the user namespace does not have is none.
check(status != 0 and "Invalid argument" in text, f"chown: {status} {text}")
same("owner after chown", os.stat("plain/h").st_uid, USER)

# Whoever it is in the guest, with ids translated.
same("work of root", guest.run(f"cd /mnt/mine && {work}"), "text\n")
same("owner on the host", (os.stat("mine/h").st_uid, os.stat("mine/h").st_gid), (USER, USER))
same("owner in the guest", guest.run("stat -c %u:%g /mnt/mine/h"), "0:0\n")
guest.run("mkdir -m 1777 /mnt/mine/tmp; cd /mnt/mine/tmp && "
          "setpriv --reuid 1234 --regid 1234 --clear-groups sh -c 'echo x > by-user'")
same("a user's file on the host", os.stat("mine/tmp/by-user").st_uid, USER)
guest.run("cd /mnt/mine && cp -r /usr/share/doc/dpkg c && diff -r /usr/share/doc/dpkg c")
same("what was copied", subprocess.run(["diff", "-r", "/usr/share/doc/dpkg", "mine/c"],
                                       check=False).returncode, 0)
same("status of the guest", guest.close(), 0)
for d in daemons:
    same(f"status of {d.name}", d.wait(), 0)
shutil.rmtree("mine")

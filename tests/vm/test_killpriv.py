# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=300
"""Set-id bits and file capabilities in a guest go and stay as on the host: at writes, truncations,
allocations, copies and changes of owner, by a user and by root, in each kind of caching, with and
without --killpriv-v2, and with capabilities kept under another name."""
import os

import fscompare
from guest import FSCASES, SLOW, Daemon, Guest, fast_qemu, host, same, warnings_of

KEPT = ("--xattrmap=:map:security.:trusted.vm.:", "--modcaps=+sys_admin")
SHARES = {
    "cached": ("--killpriv-v2", "--xattr"),
    "uncached": ("--killpriv-v2", "--xattr", "--cache=none"),
    "held-back": ("--killpriv-v2", "--xattr", "--writeback"),
    "mapped": ("--killpriv-v2", "--cache=none", *KEPT),
    "no-cached": ("--no-killpriv-v2", "--xattr"),
    "no-uncached": ("--no-killpriv-v2", "--xattr", "--cache=none"),
    "no-held-back": ("--no-killpriv-v2", "--xattr", "--writeback"),
    "no-mapped": ("--no-killpriv-v2", "--cache=none", *KEPT),
}
CASES = "drop-suid,owners"

# Prints mode and capability of each file after its change; what is set first, the guest knows.
SCRIPT = """
import os, sys
key, value = "security.capability", bytes([1, 0, 0, 2, 0, 32] + [0] * 14)
changes = {
    "write": lambda p: os.write(os.open(p, os.O_WRONLY), b"x"),
    "truncate": lambda p: os.truncate(p, 1),
    "open": lambda p: os.open(p, os.O_WRONLY | os.O_TRUNC),
    "allocate": lambda p: os.posix_fallocate(os.open(p, os.O_WRONLY), 0, 8192),
    "copy": lambda p: os.copy_file_range(os.open("source", os.O_RDONLY), os.open(p, os.O_WRONLY), 4),
    "chown": lambda p: os.chown(p, -1, 1234),
    "none": lambda p: None,
}
def all_changes():
    open("source", "w").write("text")
    for who in (1234, 0):
        for what, change in changes.items():
            path = f"{what}-{who}"
            open(path, "w").write("text")
            os.chown(path, who, who)
            os.chmod(path, 0o6777)
            os.setxattr(path, key, value)
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    os.setgroups([])
                    os.setresgid(who, who, who)
                    os.setresuid(who, who, who)
                    change(path)
                    status = 0
                finally:
                    os._exit(status)
            status = os.waitpid(pid, 0)[1]
            print(path, status, oct(os.fstat(os.open(path, os.O_RDONLY)).st_mode & 0o7777),
                  key in os.listxattr(path))

for directory in sys.argv[1:]:
    os.chdir(directory)
    all_changes()
"""

for directory in ("host", "plain", "program", *SHARES):
    os.mkdir(directory)
    os.chmod(directory, 0o777)
with open("program/script.py", "w", encoding="utf-8") as f:
    f.write(SCRIPT)
oracle = fscompare.run_here("host", CASES)
want = host(f"python3 program/script.py {os.path.abspath('plain')}")
same("files that are tried", len(want.splitlines()), 14)
daemons = [Daemon("program", name="program")]
daemons += [Daemon(d, *options, name=d) for d, options in SHARES.items()]
guest = Guest(*fast_qemu(), *[o for d in daemons for o in ("--socket", f"{d.socket}:{d.name}")])
for share in SHARES:
    status, text = guest.try_run(f"{FSCASES} /mnt/{share} --only {CASES}")
    same(f"{share}: status", status, 0)
    same(share, fscompare.differences(oracle, fscompare.read(text), "auto", []), [])
# One start of the interpreter, which takes an emulated guest long, for all.
mounts = " ".join(f"/mnt/{share}" for share in SHARES)
got = guest.run(f"python3 /mnt/program/script.py {mounts}", 120 * SLOW).splitlines()
lines = want.splitlines()
for i, share in enumerate(SHARES):
    same(f"{share}: bits and capabilities", got[i * len(lines):(i + 1) * len(lines)], lines)
    # The guest may show what it remembers: the host has the truth.
    for line in lines:
        path, _, mode, has = line.split()
        at = f"{share}/{path}"
        same(f"{at} on the host", (oct(os.stat(at).st_mode & 0o7777),
                                   str(any("capability" in a for a in os.listxattr(at)))),
             (mode, has))
same("kernel warnings", warnings_of(guest), [])
same("status", guest.close(), 0)
for d in daemons:
    same(f"status of {d.name}", d.wait(), 0)

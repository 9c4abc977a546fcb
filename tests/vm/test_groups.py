# SPDX-License-Identifier: BSD-2-Clause
# check: full timeout=300
"""A guest with Linux 6.12 says of which group its users are where they create: files in a directory
that passes its group on have the modes that they have on the host. The stock kernel cannot say."""
import os

from guest import SRC, Daemon, Guest, host, same, skip, warnings_of

done = host(f"{SRC}/tools/setup --path kernel-6.12 2>/dev/null", check_status=False).split()
if not done:
    skip("kernel-6.12 cannot be had")

# Modes, owners of what users in the directory's group and outside it create there.
SCRIPT = """
import os, sys
os.umask(0)
os.chdir(sys.argv[1])
os.mkdir("shared")
os.chown("shared", 0, 1236)
os.chmod("shared", 0o2777)
for n, groups in enumerate(([], [1236], [], [1235], [1235, 1236], [1236], [])):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups(groups)
            os.setresgid(1234, 1234, 1234)
            os.setresuid(1234, 1234, 1234)
            os.close(os.open(f"shared/f{n}", os.O_CREAT | os.O_EXCL, 0o2755))
            os.mkdir(f"shared/d{n}", 0o755)
            os.mknod(f"shared/p{n}", 0o010000 | 0o2755)
            os.symlink("x", f"shared/l{n}")
            status = 0
        finally:
            os._exit(status)
    print(n, os.waitpid(pid, 0)[1])
for name in sorted(os.listdir("shared")):
    st = os.lstat(f"shared/{name}")
    print(name, oct(st.st_mode), st.st_uid, st.st_gid)
"""

for directory in ("plain", "s"):
    os.mkdir(directory)
    os.chmod(directory, 0o777)
with open("s/script.py", "w", encoding="utf-8") as f:
    f.write(SCRIPT)
want = host(f"python3 s/script.py {os.path.abspath('plain')}")
same("the host keeps the bit of members", "f1 0o102755 1234 1236" in want.splitlines(), True)
same("... and of no others", "f3 0o100755 1234 1236" in want.splitlines(), True)
daemon = Daemon("s", name="s")
guest = Guest("--kernel", done[0], "--socket", f"{daemon.socket}:s")
got = guest.run("python3 /mnt/s/script.py /mnt/s")
same("in the guest", got.splitlines(), want.splitlines())
os.unlink("s/script.py")
for line in want.splitlines():
    if len(line.split()) == 4:
        st = os.lstat(f"s/shared/{line.split()[0]}")
        same("on the host", f"{line.split()[0]} {oct(st.st_mode)} {st.st_uid} {st.st_gid}", line)
same("kernel warnings", warnings_of(guest), [])
same("status", (guest.close(), daemon.wait()), (0, 0))

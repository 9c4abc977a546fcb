# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain
"""What the serving process is kept from: --sandbox, --seccomp, --modcaps, --uid-map, --gid-map; how
the process that was started and the one that serves end together."""

import errno
import os
import shutil
import signal
import struct

from daemon import Daemon, binary, make_share, run_options
from fuse import ROOT, name
from harness import Skip, case, check, equal, main, tempdir, until
from world import World

NOBODY = 65534
EPERM = -errno.EPERM
CAPS = {word: 1 << bit for bit, word in enumerate(
    "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable "
    "net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio "
    "sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time "
    "sys_tty_config mknod lease audit_write audit_control setfcap".split())}
LEAST = "setuid setgid dac_override fowner"


def start(*options, **kw):
    if os.getuid():
        raise Skip("needs root")
    w = World(daemon=Daemon(*options, **kw))
    return w, w.daemon, w.daemon.pid


def status(pid):
    with open(f"/proc/{pid}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def own_namespaces(pid):
    """Which namespaces a process does not share with us."""
    return {kind for kind in ("mnt", "pid", "net", "ipc", "user")
            if os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")}


def mounts(pid):
    with open(f"/proc/{pid}/mountinfo") as f:
        return [line.split()[4] for line in f]


def caps(words):
    return sum(CAPS[w] for w in words.split())


@case("--sandbox namespace, the default: the share is all that there is")
def namespace():
    w, daemon, pid = start()
    check(pid != daemon.proc.pid, "it serves outside")
    equal(own_namespaces(pid), {"mnt", "pid", "net", "ipc"}, "namespaces of its own")
    check(os.path.samestat(os.stat(f"/proc/{pid}/root"), os.stat(daemon.share)), "root")
    equal(mounts(pid), ["/"], "mounts")
    equal(os.readlink(f"/proc/{pid}/cwd"), "/", "working directory")
    with open(f"/proc/{pid}/net/dev") as f:
        equal([line.split(":")[0].strip() for line in f.readlines()[2:]], ["lo"], "interfaces")
    w.check()


@case("--sandbox chroot: the share is the root, in the host's namespaces")
def chroot():
    w, daemon, pid = start("--sandbox", "chroot")
    check(pid != daemon.proc.pid, "it serves outside")
    equal(own_namespaces(pid), set(), "namespaces of its own")
    check(os.path.samestat(os.stat(f"/proc/{pid}/root"), os.stat(daemon.share)), "root")
    w.check()


@case("--sandbox none, --seccomp none: nothing of it")
def none():
    w, daemon, pid = start("--sandbox", "none", "--seccomp", "none")
    equal(pid, daemon.proc.pid, "the process that serves")
    equal(own_namespaces(pid), set(), "namespaces of its own")
    equal(os.readlink(f"/proc/{pid}/root"), "/", "root")
    equal(status(pid)["Seccomp"], "0", "seccomp")
    w.check()


@case("in each sandbox: no new privileges, no core file, few capabilities, and seccomp")
def sealed():
    for how in ("namespace", "chroot", "none"):
        w, daemon, pid = start("--sandbox", how)
        for who in {pid, daemon.proc.pid}:
            # The process outside may be a moment behind the one that serves.
            until(f"{how}: no seccomp in {who}", lambda: status(who)["Seccomp"] != "0")
            st = status(who)
            equal((st["NoNewPrivs"], st["Seccomp"]), ("1", "2"), f"{how}: {who} of {pid}")
            with open(f"/proc/{who}/limits") as f:
                core = next(line for line in f if line.startswith("Max core file size"))
            equal(core.split()[4:6], ["0", "0"], f"{how}: core files")
            equal(st["CapInh"].strip("0") + st["CapAmb"].strip("0"), "", f"{how}: CapInh, CapAmb")
            equal(st["CapBnd"], st["CapPrm"], f"{how}: CapBnd")
        w.check()


@case("capabilities are those that the options need, and --modcaps's")
def capabilities():
    file_caps = " chown fsetid mknod"
    handles = " dac_read_search"
    for options, want in (
            ((), LEAST + file_caps + handles),
            (("--xattr",), LEAST + file_caps + handles + " setfcap"),
            (("--readonly",), LEAST + handles),
            (("--inode-file-handles", "never"), LEAST + file_caps),
            (("--modcaps", "+sys_admin:-mknod"), LEAST + " chown fsetid sys_admin" + handles),
            (("--modcaps=-MKNOD:+mknod",), LEAST + file_caps + handles)):
        w, daemon, pid = start(*options)
        equal(int(status(pid)["CapPrm"], 16), caps(want), f"capabilities with {options}")
        w.check()


@case("--modcaps -mknod: device nodes cannot be made, other files can")
def no_mknod():
    w, daemon, pid = start("--modcaps=-mknod")
    node = struct.pack("<IIII", 0o020644, 0x103, 0, 0)
    w.fs.fails(EPERM, "MKNOD", ROOT, node + name("null"), 144)
    w.fs.good("MKNOD", ROOT, struct.pack("<IIII", 0o010644, 0, 0, 0) + name("pipe"), 144)
    w.check()


def is_gone(pid):
    try:
        return status(pid)["State"].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return True


@case("the two processes end together, whichever is killed, and signals are passed on")
def together():
    for how in ("namespace", "chroot"):
        w, daemon, pid = start("--sandbox", how, share=make_share())
        daemon.proc.kill()
        daemon.wait((-signal.SIGKILL,))
        until(f"{how}: the server outlives its parent", lambda p=pid: is_gone(p))
        w.fe.close()
        w, daemon, pid = start("--sandbox", how)
        os.kill(pid, signal.SIGKILL)
        daemon.wait((-signal.SIGKILL,))
        check("ended by signal 9" in daemon.stderr().decode(), "the log does not say so")
        w.fe.close()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            w, daemon, pid = start("--sandbox", how)
            daemon.proc.send_signal(number)
            daemon.wait((0,))
            check(is_gone(pid), f"{how}: the server outlives {number}")
            w.fe.close()
        w, daemon, pid = start("--sandbox", how)
        daemon.proc.send_signal(signal.SIGUSR1)
        until("no counters", lambda d=daemon: b"nodes:" in d.stderr())
        w.check()


@case("an ordinary user: a user namespace by itself; files are the user's")
def ordinary():
    if os.getuid():
        raise Skip("needs root")
    share = make_share(public=True)
    for path, dirs, files in os.walk(share):
        os.chown(path, NOBODY, NOBODY)
        for text in files:
            os.lchown(os.path.join(path, text), NOBODY, NOBODY)
    w, daemon, pid = start(share=share, user=NOBODY)
    check("user" in own_namespaces(pid), "no user namespace")
    equal(mounts(pid), ["/"], "mounts")
    w.fs.create("new")
    st = os.stat(f"{share}/new")
    equal((st.st_uid, st.st_gid), (NOBODY, NOBODY), "owner")
    w.check()


@case("an ordinary user with ranges in /etc/subuid: the guest's other users are the ranges")
def ranges():
    if not shutil.which("newuidmap"):
        raise Skip("newuidmap is not installed")
    share = make_share(public=True)
    os.chown(share, NOBODY, NOBODY)
    os.chmod(share, 0o777)
    subid = os.path.join(tempdir(), "subid")
    with open(subid, "w") as f:
        f.write(f"{NOBODY}:300000:1000\n")
    # In a mount namespace of its own, the machine's files are as they were.
    script = (f"mount --bind {subid} /etc/subuid && mount --bind {subid} /etc/subgid && "
              f"exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups \"$@\"")
    w, daemon, pid = start(share=share, command=lambda fd, share: [
        "unshare", "-m", "sh", "-c", script, "sh", binary(), "--shared-dir", share, "--fd",
        str(fd)])
    for uid, owner in ((0, NOBODY), (1, 300000), (1000, 300999)):
        w.fs.good("MKDIR", ROOT, struct.pack("<II", 0o755, 0) + name(f"r{uid}"), 144, uid=uid,
                  gid=uid)
        st = os.stat(f"{share}/r{uid}")
        equal((st.st_uid, st.st_gid), (owner, owner), f"owner of r{uid}")
        equal(w.fs.lookup(f"r{uid}").attr.uid, uid, f"owner of r{uid} in the guest")
    w.fs.fails((EPERM, -errno.EINVAL), "MKDIR", ROOT, struct.pack("<II", 0o755, 0) + name("no"),
               144, uid=1001, gid=0)
    w.check()


@case("--uid-map, --gid-map: ids of the guest are ranges of the host's")
def mapped():
    w, daemon, pid = start("--uid-map", ":0:100000:10:", "--gid-map", ":0:200000:10:",
                           share=open_share())
    check("user" in own_namespaces(pid), "no user namespace")
    for uid, gid in ((0, 0), (3, 4)):
        w.fs.good("MKDIR", ROOT, struct.pack("<II", 0o755, 0) + name(f"d{uid}"), 144, uid=uid,
                  gid=gid)
        st = os.stat(f"{daemon.share}/d{uid}")
        equal((st.st_uid, st.st_gid), (100000 + uid, 200000 + gid), f"owner of d{uid}")
    w.fs.fails((EPERM, -errno.EINVAL), "MKDIR", ROOT, struct.pack("<II", 0o755, 0) + name("no"),
               144, uid=10, gid=0)
    check(not os.path.exists(f"{daemon.share}/no"), "created by nobody")
    w.check()


def open_share():
    share = make_share(public=True)
    os.chmod(share, 0o777)
    return share


@case("what cannot be had is an error that says so, and status 2")
def refused():
    if os.getuid():
        raise Skip("needs root")
    share = open_share()
    for options, user, words in (
            (("--sandbox", "chroot"), NOBODY, b"CAP_SYS_CHROOT"),
            (("--sandbox", "none", "--modcaps", "+sys_admin"), NOBODY, b"+sys_admin"),
            (("--sandbox", "namespace", "--uid-map", ":0:5:2:"), NOBODY, b"--uid-map")):
        daemon = Daemon(*options, share=share, user=user)
        daemon.wait((2,))
        check(words in daemon.stderr(), f"{options}: {daemon.stderr()}")
    for options in (("--uid-map", ":0:0:1:", "--sandbox", "none"),
                    ("--gid-map", ":0:0:1:", "--sandbox", "chroot")):
        code, text = run_options(*options, "--shared-dir", share, "--fd", "0")[:2]
        equal(code, 2, f"status with {options}")


main()

# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=120
"""Programs that start a virtio-fs daemon for their users find this one and can start it without a
change: the capability file is what QEMU's docs/interop/vhost-user.json describes, and the command
lines of libvirt, Kata Containers and Podman machine serve."""

import json
import os
import socket
import subprocess

from daemon import (Daemon, binary, environment, make_share, run_options, sanitizer,
                    without_sandbox)
from harness import HANG, Skip, add, among, at_end, case, check, equal, main, tempdir, until
from world import World

SRC = os.environ["CAUSEWAY_SRC"]

# VhostUserBackend of vhost-user.json (QEMU): each member's type, and whether it may be left out.
# libvirt's own addition: features, read from --print-capabilities.
MEMBERS = {"description": (str, False), "type": (str, False), "binary": (str, False),
           "tags": (list, True), "features": (list, True)}
# What libvirt and virtiofsd 1.14 know by name.
FEATURES = {"migrate-precopy", "posix-acl-negotiation-mode", "security-label-negotiation-mode",
            "separate-options"}
UNBUILT = {"migrate-precopy"}


def parse_file(path):
    """A back-end file as a management program reads it."""
    with open(path, encoding="utf-8") as f:
        data = json.load(f)
    for member, (kind, optional) in MEMBERS.items():
        check(member in data or optional, path, "has no", member)
        check(isinstance(data.get(member, kind()), kind), member, "is no", kind.__name__)
    equal(set(data) - set(MEMBERS), set(), "members that are none")
    equal(data["type"], "fs", "type")
    check(os.path.isabs(data["binary"]), "binary", data["binary"], "is not absolute")
    return data


@case("an installed tree: the capability file is where libvirt looks, its binary runs and agrees")
def installed():
    if sanitizer():
        raise Skip("the plain build does")
    dest = tempdir()
    done = subprocess.run(["meson", "install", "--no-rebuild", "--destdir", dest, "-C",
                           os.environ["CAUSEWAY_PLAIN_BUILD"]], capture_output=True, check=False)
    equal(done.returncode, 0, done.stdout.decode()[-500:])
    found = [os.path.join(d, f) for d, _, files in os.walk(dest) for f in files
             if d.endswith("/share/qemu/vhost-user")]
    equal([os.path.basename(f) for f in found], ["50-causewayd.json"], "files of back-ends")
    data = parse_file(found[0])
    # The file's own place and the binary's have the same prefix.
    prefix = found[0][len(dest):found[0].index("/share/qemu/")]
    equal(data["binary"], prefix + "/bin/causewayd", "binary")
    program = dest + data["binary"]
    check(os.access(program, os.X_OK), program, "cannot be executed")
    out = subprocess.run([program, "--print-capabilities"], capture_output=True, check=True)
    told = json.loads(out.stdout)
    equal((told["type"], out.stderr), ("fs", b""), "type and standard error")
    equal(told.get("features"), data.get("features"), "features of the file and the program")
    check("separate-options" in told["features"], "libvirt would use -o")
    equal(set(told["features"]), FEATURES - UNBUILT, "features")


@case("--print-capabilities prints JSON and nothing else, whatever stands beside it")
def capabilities():
    for more in ((), ("--fd=99", "--shared-dir", "/nowhere")):
        status, out, err = run_options(*more, "--print-capabilities")
        equal((status, err), (0, ""), "status and stderr")
        equal(set(json.loads(out)), {"type", "features"}, "members")


# Name → (options before and after the share, in the manager's own order; DIR and FD stand for
# what it puts there). libvirt passes a listening socket of its own, as Kata does.
WITH_FD = {
    # qemuVirtioFSBuildCommandLine() with everything that the domain's XML can ask for ...
    "libvirt, all set": ("--fd=FD", "-o", "source=DIR,cache=always,sandbox=namespace,xattr,no_flock,"
                         "no_posix_lock", "--thread-pool-size=4", "-d"),
    # ... with locks, which virtiofsd refuses ...
    "libvirt, locks": ("--fd=FD", "-o", "source=DIR,cache=none,sandbox=chroot,no_xattr,flock,"
                       "posix_lock"),
    # ... and with nothing.
    "libvirt, plain": ("--fd=FD", "-o", "source=DIR"),
    # Where separate-options is among the features.
    "libvirt, separate": ("--fd=FD", "--shared-dir", "DIR", "--cache", "auto", "--sandbox",
                          "namespace", "--xattr", "--thread-pool-size", "0", "--rlimit-nofile",
                          "2000"),
    # virtiofsd.args(), with what configuration.toml has in virtio_fs_extra_args.
    "Kata": ("--cache=auto", "--shared-dir=DIR", "--fd=FD", "--thread-pool-size=1",
             "--announce-submounts"),
    "Kata, older": ("--cache=never", "--shared-dir=DIR", "--fd=FD", "--inode-file-handles=prefer",
                    "--thread-pool-size=1", "-o", "announce_submounts"),
}
# Those that name a path; with the directory that they are started in.
WITH_PATH = {
    # createVirtiofsCmd(): started in the directory itself.
    "Podman machine": ("--sandbox", "none", "--socket-path", "PATH", "--shared-dir", ".",
                       "--seccomp=none"),
    "the older name of --socket-path": ("--socket", "PATH", "--shared-dir", "DIR"),
    "a script": ("--shared-dir=DIR", "--socket-path=PATH", "--announce-submounts",
                 "--inode-file-handles=mandatory", "--log-level", "warn"),
}


def serves(words):
    """A command line with FD: a front-end that comes before or after the daemon is served."""
    daemon = Daemon(listen=True, command=lambda fd, share: [
        binary(), *(w.replace("FD", str(fd)).replace("DIR", share) for w in words),
        *without_sandbox()])
    w = World(daemon=daemon)
    w.check()
    w.close()
    daemon.wait((0,))


def serves_path(words):
    """A command line with PATH: ready when the socket takes connections, gone with its front-end."""
    share, path = make_share(), os.path.join(tempdir(), "sock")
    env = {**environment(), "RUST_LOG": "ERROR"}  # as Podman sets it
    words = [*(w.replace("PATH", path).replace("DIR", share) for w in words), *without_sandbox()]
    proc = subprocess.Popen([binary(), *words], cwd=share, env=env, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    at_end(proc.wait)
    at_end(proc.stderr.close)
    at_end(proc.terminate)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # It has its name a moment before it listens.
    until("socket", lambda: sock.connect_ex(path) == 0 or proc.poll() is not None)
    check(proc.poll() is None, "ended:", proc.poll() is not None and proc.stderr.read())
    w = World(daemon=Started(proc, sock, share))
    w.check()
    w.close()
    equal(proc.wait(HANG), 0, "status")
    among(os.path.exists(path), (False,), "the socket is left")


class Started:
    """What World needs of a daemon that is a process already."""

    def __init__(self, proc, sock, share):
        self.proc, self.sock, self.share = proc, sock, share

    def connect(self):
        return self.sock

    def alive(self):
        check(self.proc.poll() is None, "the daemon has ended")


for name, line in WITH_FD.items():
    add(f"{name}: {' '.join(line)}", serves, line)
for name, line in WITH_PATH.items():
    add(f"{name}: {' '.join(line)}", serves_path, line)
main()

# SPDX-License-Identifier: BSD-2-Clause
"""File systems of the test's own, in a mount namespace that ends with it."""

import ctypes
import os
import shutil
import subprocess
import sys

from harness import Skip, at_end, tempdir

CLONE_NEWNS = 0x20000
ENV = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin:/sbin")


def private():
    """Mounts from here on are this test's and its daemons' alone, and reach these later too."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.getuid() or libc.unshare(CLONE_NEWNS):
        print("may not mount here")
        sys.exit(77)
    for how in ("--make-rprivate", "--make-rshared"):
        subprocess.run(["mount", how, "/"], check=True)


def run(*argv):
    """A program that sets up what the case needs; without it the case cannot run."""
    done = subprocess.run(argv, check=False, env=ENV, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if done.returncode:
        raise Skip(f"{' '.join(argv)}: {done.stdout.strip()}")
    return done.stdout.strip()


def mount(path, *argv):
    """Mounts something there, until the case ends."""
    run("mount", *argv, path)
    at_end(lambda: subprocess.run(["umount", "-lq", path], check=False))


def tmpfs(path, options="size=1M"):
    mount(path, "-t", "tmpfs", "-o", options, "none")


def disk(kind, sector=512, make=(), options="defaults"):
    """(directory, device): a directory on a new file system of this kind, on a disk with such
    sectors."""
    base = tempdir()
    mounted = os.path.join(base, "m")
    os.mkdir(mounted)
    if kind == "tmpfs":
        tmpfs(mounted, "size=8M")
        loop = None
    else:
        if not shutil.which(f"mkfs.{kind}", path=ENV["PATH"]):
            raise Skip(f"no mkfs.{kind}")
        image = os.path.join(base, "image")
        with open(image, "wb") as f:
            f.truncate(320 << 20)
        loop = run("losetup", "-f", "--show", "-b", str(sector), image)
        at_end(lambda: subprocess.run(["losetup", "-d", loop], check=False, env=ENV))
        run(f"mkfs.{kind}", "-q", *make, loop)
        mount(mounted, "-o", options, loop)
    share = os.path.join(mounted, "share")
    os.mkdir(share)
    return share, loop

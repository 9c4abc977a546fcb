# SPDX-License-Identifier: BSD-2-Clause
"""causeway.ko for the guests of a test, and guests that mount shares with it.

The module is built out of the checkout, below the build directory: once for a kernel and for what its
source says, however many tests ask; and sparse looks at it where there is one. A guest that has it
panics at an oops and at a warning.
"""
import collections
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile

from guest import BOOT_SECONDS, SRC, Guest, check, fast_qemu, setup_path, wait_for, warnings_of

KERNELS = ("6.1", "6.12")
LOG = "make.log"
BUILDS = os.path.join(os.environ["CAUSEWAY_PLAIN_BUILD"], "kmod")
# For what the guest's kernel finds wrong with us: it would go on, and the test with it.
PANIC = ("--append", "oops=panic", "--append", "panic_on_warn=1")


def headers(kernel):
    """Where make is to start for a kernel, as "6.1"."""
    return setup_path(f"headers-{kernel}")[0]


def release(kernel):
    """As uname -r says it."""
    return os.path.basename(headers(kernel)).replace("linux-headers-", "")


def image(kernel):
    return setup_path(f"kernel-{kernel}")[0]


def source(directory):
    """The module's source, as it is installed, in a directory of its own."""
    subprocess.run([os.path.join(SRC, "kmod/install.sh"), "0.0.0", directory], check=True)
    return directory


def make(directory, kernel, *words):
    """Builds what source() has made; what make said."""
    done = subprocess.run(["make", "-C", os.path.join(directory, "kmod"), f"KDIR={headers(kernel)}",
                           f"-j{os.cpu_count()}", *words], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    check(done.returncode == 0, f"causeway.ko for {kernel} is not built:\n{done.stdout[-4000:]}")
    return done.stdout


def remarks(said):
    """What is not make's own in what it said."""
    return [line for line in said.splitlines()
            if line and not re.match(r"make(\[\d+\])?: (Entering|Leaving) |make -C |  [A-Z]+ ", line)]


def digest(directory):
    """Of all files below a directory, and their names."""
    total = hashlib.sha256()
    for folder, folders, files in os.walk(directory):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(folder, name)
            with open(path, "rb") as f:
                total.update(f"{os.path.relpath(path, directory)}\0".encode() + f.read() + b"\0")
    return total.hexdigest()[:16]


def build(kernel):
    """The causeway.ko for a kernel; beside it is what make said of it, as LOG."""
    sparse = ("C=1",) if shutil.which("sparse") else ()
    # Others wait here until it is there: two builds of the same would take as long each.
    os.makedirs(BUILDS, exist_ok=True)
    with open(os.path.join(BUILDS, f"{kernel}.lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = tempfile.mkdtemp(prefix=f".{kernel}-", dir=BUILDS)
        try:
            place = os.path.join(BUILDS, "-".join(
                (release(kernel), digest(source(made)), *("sparse" for _ in sparse))))
            if not os.path.exists(place):
                said = make(made, kernel, "W=1", *sparse)
                check(not remarks(said), f"{kernel}: the compiler has something to say:\n{said}")
                with open(os.path.join(made, LOG), "w", encoding="utf-8") as log:
                    log.write(said)
                for old in os.listdir(BUILDS):
                    if old.startswith(f"{release(kernel)}-"):
                        shutil.rmtree(os.path.join(BUILDS, old))
                os.rename(made, place)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return os.path.join(place, "kmod/causeway.ko")


def share(daemon, *options):
    """Words for a Guest: what a Daemon (or anything with socket and name) serves, mounted by the
    module at /mnt/NAME."""
    return ("--socket", ":".join((daemon.socket, daemon.name,
                                  ",".join(("fstype=causeway", *options)))))


class KmodGuest(Guest):
    """A guest with the module loaded; by the machine's own QEMU, if its class says so."""

    QEMU = staticmethod(fast_qemu)

    def __init__(self, kernel, *words, **more):
        self.module = build(kernel)
        super().__init__(*self.QEMU(), "--kernel", image(kernel), "--module", self.module, *PANIC,
                         *words, **more)

    def device(self, number):
        """The name, virtioN, of the device of the share with that number, from 0."""
        # As `causeway vm` places them (VM_SHARE_SLOT).
        return self.run(f"cd /sys/bus/pci/devices/0000:00:{number + 2:02x}.0 && echo virtio*; "
                        "cd /").strip()

    def driver(self, device):
        """Who has a device; "" where nobody has."""
        link = f"/sys/bus/virtio/devices/{device}/driver"
        return self.run(f"if test -e {link}; then basename $(readlink {link}); fi").strip()

    def complaints(self):
        """The kernel's own: not what the module says of its servers."""
        return [w for w in warnings_of(self) if "causeway: '" not in w]

    def unbind(self, device):
        self.run(f"echo {device} > /sys/bus/virtio/devices/{device}/driver/unbind")

    def bind(self, device, driver="causeway"):
        self.run(f"echo {device} > /sys/bus/virtio/drivers/{driver}/bind")

    def sent(self, tag):
        """{opcode: requests} of what a mount has sent so far; 0 has those that are not FUSE's."""
        words = list(map(int, self.run(
            f"cat /sys/fs/causeway/{tag}/requests_by_opcode").split()))
        return collections.Counter(dict(zip(words[::2], words[1::2])))

    def unload(self):
        """Takes the module out; nobody may have it mounted."""
        # The last reference may be a work item's, of what was unmounted a moment ago.
        wait_for("unloading of the module", lambda: self.try_run("rmmod causeway")[0] == 0,
                 BOOT_SECONDS)
        self.run("! test -e /sys/module/causeway")

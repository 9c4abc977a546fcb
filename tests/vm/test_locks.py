# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=400
"""Two guests and the host lock one file, with --posix-lock and --flock: they exclude each other,
wait for each other, and deadlocks are found. Without the options each guest is for itself."""
import os
import shutil
import subprocess

import fscompare
from guest import FSCASES, SRC, Daemon, Guest, check, fast_qemu, same, wait_for

KINDS = ("posix", "ofd", "flock")
SCRIPT = os.path.abspath("lock.py")
FILE = "/mnt/s/f"
CASES = ("flock", "lock-ranges", "lock-descriptions", "lock-waiting")


class Host:
    """A process of the host with a lock, until release()."""

    def __init__(self, kind):
        self.process = subprocess.Popen([SCRIPT, "hold", kind, "shared/f"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        same(f"{kind} on the host", self.process.stdout.readline(), "held\n")

    def release(self):
        self.process.communicate()
        same("status of the host's process", self.process.returncode, 0)


def host_tries(kind):
    return subprocess.run([SCRIPT, "try", kind, "shared/f"], check=False).returncode


def tries(guest, kind):
    return guest.try_run(f"{SCRIPT} try {kind} {FILE}")[0]


def start(guest, how, kind, says):
    """A process with its input at the shell's descriptor 7 and its output at 8."""
    guest.run("rm -f /tmp/in /tmp/out; mkfifo /tmp/in /tmp/out")
    guest.send(f"{SCRIPT} {how} {kind} {FILE} </tmp/in >/tmp/out & exec 7>/tmp/in 8</tmp/out\n")
    same(f"{how} {kind}", says_next(guest), says)


def says_next(guest):
    return guest.run("read -r x <&8; echo $x").strip()


def exclude(one, two, kind):
    start(one, "hold", kind, "held")
    same(f"{kind}: held by one, others try", (tries(one, kind), tries(two, kind),
                                              host_tries(kind)), (1, 1, 1))
    one.release()
    same(f"{kind}: released", (tries(one, kind), tries(two, kind), host_tries(kind)), (0, 0, 0))
    held = Host(kind)
    same(f"{kind}: held by the host", (tries(one, kind), tries(two, kind)), (1, 1))
    held.release()
    same(f"{kind}: released by the host", (tries(one, kind), tries(two, kind)), (0, 0))


def wait(one, two, kind):
    """The second guest waits, on its only queue, which goes on."""
    start(one, "hold", kind, "held")
    start(two, "wait", kind, "waiting")
    same("what the waiting guest reads", two.run(f"cat {FILE}"), "text\n")
    two.run("echo more > /mnt/s/other; sync /mnt/s/other; rm /mnt/s/other")
    one.release()
    same(f"{kind}: after the wait", says_next(two), "held")
    same(f"{kind}: the first tries again", tries(one, kind), 1)
    two.release()
    same(f"{kind}: all is free", (tries(one, kind), host_tries(kind)), (0, 0))


def killed(one, two):
    """Locks end with their process, however it ends."""
    start(one, "hold", "posix", "held")
    same("held", tries(two, "posix"), 1)
    one.run("kill -9 $!; wait 2>/dev/null; exec 7>&- 8<&-")
    same("after kill -9", tries(two, "posix"), 0)


def waits(name):
    """How many wait for a lock at a daemon."""
    daemons[name].statistics()
    return int(daemons[name].text().rsplit(" ranges, ", 1)[1].split()[0])


def killed_waiter(one, two):
    """Linux's virtio_fs cannot interrupt a request: who is killed while it waits ends when the lock
    is there, which is free again at once. Its queue goes on meanwhile."""
    start(one, "hold", "posix", "held")
    start(two, "wait", "posix", "waiting")
    wait_for("a wait for the lock", lambda: waits("two") == 1)
    two.run("kill -9 $!")
    same("what the guest reads", two.run(f"cat {FILE}"), "text\n")
    same("waits after kill -9", waits("two"), 1)
    one.release()
    two.run("wait 2>/dev/null; exec 7>&- 8<&-")
    same("waits at the end", waits("two"), 0)
    same("all is free", (tries(one, "posix"), tries(two, "posix"), host_tries("posix")), (0, 0, 0))


def deadlock(guest):
    said = sorted(guest.run(f"{SCRIPT} deadlock {FILE}").split("\n")[:-1])
    same("a deadlock of two processes", said, ["EDEADLK", "got it"])


def without_pid(line):
    """Linux's FUSE client tells the process also of a lock of an open file, which has none."""
    return line.replace("parent 1", "parent 0") if line.startswith("lock-descriptions:") else line


def cases(guest):
    os.mkdir("host")
    oracle = fscompare.cases_of(fscompare.run_here("host"), CASES)
    guest.run("mkdir /mnt/s/cases")
    text = guest.run(f"{FSCASES} /mnt/s/cases --only " + ",".join(CASES))
    text = "\n".join(without_pid(line) for line in text.splitlines())
    wrong = fscompare.differences(oracle, fscompare.read(text), "auto")
    check(not wrong, "cases on the share: " + "\n".join(wrong))


def guest_goes(one, two):
    """A guest that is switched off while it waits leaves nothing behind."""
    start(one, "hold", "flock", "held")
    start(two, "wait", "flock", "waiting")
    two.process.terminate()
    two.process.wait(60)
    same("status of its daemon", daemons["two"].wait(), 0)
    one.release()
    same("the lock is free", (tries(one, "flock"), host_tries("flock")), (0, 0))


shutil.copy(os.path.join(SRC, "tests/lib/lock.py"), SCRIPT)
os.mkdir("shared")
with open("shared/f", "w", encoding="ascii") as f:
    f.write("text\n")
LOCKS = ("--posix-lock", "--flock")
daemons = {name: Daemon("shared", *options, name=name) for name, options in
           (("one", LOCKS), ("two", LOCKS), ("alone", ()))}
a = Guest(*fast_qemu(), "--socket", f"{daemons['one'].socket}:s", "--socket", f"{daemons['alone'].socket}:alone")
b = Guest(*fast_qemu(), "--socket", f"{daemons['two'].socket}:s")
for k in KINDS:
    exclude(a, b, k)
    wait(a, b, k)
killed(a, b)
killed_waiter(a, b)
deadlock(a)
cases(a)
lock = Host("flock")
same("without the options", a.try_run(f"{SCRIPT} try flock /mnt/alone/f")[0], 0)
lock.release()
guest_goes(a, b)
same("status", a.close(), 0)
same("daemons", (daemons["one"].wait(), daemons["alone"].wait()), (0, 0))

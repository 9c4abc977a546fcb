# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=600 jobs=2 needs=make,gcc-12,git,unshare
"""cache=shared of causeway.ko, in a guest of each kernel. Both and the host work on one directory: what
they see is linearizable (tests/vm/hammer.c), though most looks cost no request; the same checker finds
caches that go by time. That a name is not there is known until somebody makes it. And a `git status` of each
sends no request where nothing has changed."""
import collections
import os
import shutil
import subprocess
import sys

import kmod
from guest import (COMMAND_SECONDS, END_SECONDS, FULL, Daemon, check, host, same, skip, wait_for,
                   warnings_of)
from versions import device, tmpfs

# All happens in a mount namespace of its own, so that no mount outlives the test.
if "CAUSEWAY_OWN_MOUNTS" not in os.environ:
    if os.getuid() != 0:
        skip("needs root, to mount")
    os.environ["CAUSEWAY_OWN_MOUNTS"] = "1"
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable,
                          *sys.argv])

HAMMER = os.path.abspath("hammer")
# The memory that all guests and the host have: registers, as the device of another kind.
REGISTERS = 1 << 16
STEPS = 12000 if FULL else 3000
FILES, FOLDERS = (50000, 500) if FULL else (3000, 60)
LIMIT = 6 * COMMAND_SECONDS
LOOKUP, GETATTR, FORGETS = 1, 3, (2, 42)
PLACE = tmpfs()
TABLE = os.path.join(PLACE, "table")
# What is watched for the other one moves words of that one, which by chance are those of the
# repository's files, too.
REPO_TABLE = os.path.join(PLACE, "repo-table")
MEMORY = os.path.join(PLACE, "registers")
# The index is not written, as the host's is to be seen; and no daemon of git's own watches.
STATUS = "git --no-optional-locks -c safe.directory='*' -c core.fsmonitor=false status --porcelain"


def no_registers():
    """As they are at first."""
    with open(MEMORY, "r+b" if os.path.exists(MEMORY) else "wb") as f:
        f.write(bytes(REGISTERS))


def find_registers(guest):
    """The path by which a program of the guest maps them. Tables are devices of the same kind."""
    return guest.run(f"""cd /sys/bus/pci/devices; for d in *; do
        [ $(cat $d/device) = 0x1110 ] && [ $(stat -c %s $d/resource2) = {REGISTERS} ] || continue
        echo 1 > $d/enable; echo $PWD/$d/resource2; done; cd /""").strip()


def requests(guest, tag):
    return int(guest.run(f"cat /sys/fs/causeway/{tag}/requests"))


def hammer(directory, guests, tags):
    """What all who hammer at once have said, of those who failed; and how many requests it took."""
    no_registers()
    host(f"{HAMMER} make {directory}")
    before = [requests(g, t) for g, t in zip(guests, tags)]
    for n, (guest, tag) in enumerate(zip(guests, tags)):
        guest.send(f"{HAMMER} run /mnt/{tag} {find_registers(guest)} {n} {n} {STEPS} >/tmp/hammer 2>&1 & "
                   "hammer=$!\n")
    looker = subprocess.run([HAMMER, "look", directory, MEMORY, str(len(guests)), "9"], check=False,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT)
    ends = [(looker.returncode, looker.stdout)]
    ends += [g.try_run("wait $hammer; s=$?; cat /tmp/hammer; (exit $s)", LIMIT) for g in guests]
    sent = sum(requests(g, t) for g, t in zip(guests, tags)) - sum(before)
    return [said for status, said in ends if status], sent


def linearizable(guests):
    failed, sent = hammer("tree", guests, ["a0", "a1"])
    same("who saw what may not be", failed, [])
    total, least = map(int, host(f"{HAMMER} total {MEMORY}").split())
    print(f"{total} changes, of one thing {least}; {sent} requests for {STEPS} steps of each guest")
    check(least > 0, "something was never changed")
    # A step in 16 is a change, of a request or three; each may cost others some looks.
    check(sent < 2 * STEPS, f"{sent} requests for {2 * STEPS} steps")
    failed, _ = hammer("timed", guests, ["t0", "t1"])
    check(any("saw" in said for said in failed), f"caches by time are linearizable? {failed}")


def looked_up(guest, tag, path):
    """Whether a guest sees a file, and the requests of that; what is forgotten goes in its own time."""
    before = guest.sent(tag)
    there = guest.try_run(f"[ -e /mnt/{tag}/{path} ]")[0] == 0
    sent = guest.sent(tag) - before
    for opcode in FORGETS:
        del sent[opcode]
    return there, sent


def is_known(guest, tag, path, there):
    """A look at it costs nothing, if need be after the one that finds out."""
    looked_up(guest, tag, path)
    for _ in range(3):
        same(f"{tag}: {path} where nothing has changed", looked_up(guest, tag, path), (there, {}))


def until_known(guest, tag, path, there):
    """Processes of the host are not held up until their change is in the table: here a guest sees it, and that
    nothing of it is under way any more."""
    wait_for(f"sight of {path}", lambda: looked_up(guest, tag, path) == (there, {}))


def missing_names(guests, tags):
    """A name that is made costs one LOOKUP, one that is removed two, as what it was is asked about as well;
    and either, as a change of the directory, one GETATTR of who may do what there. What happens to other names
    costs no LOOKUP. Where a guest does it, it is seen at once."""
    os.mkdir("tree/names")
    makers = [("host", lambda path: os.mknod(f"tree/{path}"), lambda path: os.unlink(f"tree/{path}"))]
    makers += [(tag, lambda path, g=guest, t=tag: g.run(f": > /mnt/{t}/{path}"),
                lambda path, g=guest, t=tag: g.run(f"rm /mnt/{t}/{path}"))
               for guest, tag in zip(guests, tags)]
    for guest, tag, *another in zip(guests, tags, guests[::-1], tags[::-1]):
        for who, create, remove in makers:
            if who == tag:
                continue
            name, other = (f"names/{what}-{tag}-{who}" for what in ("missing", "other"))
            is_known(guest, tag, name, False)
            # One change after the other: what is looked at, and what that must cost of LOOKUPs.
            for change, path, there, lookups in ((create, other, False, 0), (create, name, True, 1),
                                                 (remove, other, True, 0), (remove, name, False, 2)):
                change(path)
                if who == "host":
                    until_known(*another, path, change == create)
                seen, sent = looked_up(guest, tag, name)
                what = f"{tag}: {name} after a change of {path} by {who}"
                same(what, (seen, sent.pop(LOOKUP, 0)), (there, lookups))
                check(set(sent) <= {GETATTR} and sent[GETATTR] <= 1, f"{what}: {dict(sent)}")
                is_known(guest, tag, name, there)


def make_repository():
    """Of files that are older than git's index: others it reads each time, as they may have changed
    in the same moment. On a file system of its own, where nothing else goes on."""
    os.mkdir("repo")
    host("mount -t tmpfs -o mode=755,size=600m none repo")
    for n in range(FOLDERS):
        os.makedirs(f"repo/d{n}")
        for i in range(FILES // FOLDERS):
            with open(f"repo/d{n}/f{i}", "w", encoding="ascii") as f:
                f.write("what all of them say\n")
            os.utime(f.name, (1e9, 1e9))
    host("cd repo; git init -q .; git add -A; "
         "git -c user.name=n -c user.email=e@example.org -c gc.auto=0 commit -q -m all")


def status_without_requests(guests, tags):
    run = [f"cd /mnt/{tag} && HOME=/tmp {STATUS}; cd /" for tag in tags]
    for guest, tag, status in zip(guests, tags, run):
        for _ in range(2):
            same(f"{tag}: status", guest.run(status, LIMIT), "")
        before = guest.sent(tag)
        same(f"{tag}: status", guest.run(status, LIMIT), "")
        # Files of git's own, its index and the like, are open since the first one (pins).
        same(f"{tag}: requests of a status where nothing had changed, by opcode", dict(guest.sent(tag) - before), {})
    # What changes is seen at once, whoever changes it.
    host("cd repo; echo changed > d7/f7; touch d8/new; rm d9/f9")
    for guest, tag, status in zip(guests, tags, run):
        same(f"{tag}: status", guest.run(status, LIMIT).split("\n"), [" M d7/f7", " D d9/f9", "?? d8/new", ""])


def start(kernel, daemons, *devices):
    words = [w for daemon, options in daemons for w in kmod.share(daemon, *options)]
    return kmod.KmodGuest(kernel, *words, "--version-table", TABLE, "--memory", "1G",
                          *device("registers", MEMORY, ""), *devices)


def main():
    shutil.copy(os.path.join(os.environ["CAUSEWAY_PLAIN_BUILD"], "tests/vm/hammer"), HAMMER)
    make_repository()
    no_registers()
    os.mkdir("tree")
    os.mkdir("timed")
    # Names are asked for each time, so that no change fails; what a descriptor tells is old for sure.
    timed = ("--xattr", "--attr-timeout", "3600", "--entry-timeout", "0")
    daemons = [[(Daemon("tree", "--xattr", "--version-table", TABLE, name=f"a{n}"), ("cache=shared",)),
                (Daemon("timed", *timed, name=f"t{n}"), ("cache=auto",))] for n in range(2)]
    repos = [Daemon("repo", "--version-table", REPO_TABLE, name=f"repo{n}") for n in range(2)]
    for of_guest, repo in zip(daemons, repos):
        of_guest.append((repo, ("cache=shared",)))
    guests = [start(k, d, *device("other", REPO_TABLE)) for k, d in zip(kmod.KERNELS, daemons)]
    linearizable(guests)
    missing_names(guests, ["a0", "a1"])
    status_without_requests(guests, [repo.name for repo in repos])
    for guest in guests:
        same("kernel warnings", warnings_of(guest), [])
        same("status", guest.close(), 0)
    same("statuses", [d.wait(END_SECONDS) for one in daemons for d, _ in one], [0] * 6)


main()

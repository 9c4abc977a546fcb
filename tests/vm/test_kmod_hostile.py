# SPDX-License-Identifier: BSD-2-Clause
# check: full timeout=1800 needs=make,gcc-12
"""causeway.ko and back-ends that lie: replies that are malformed (tests/mount/hostile.c), and those that
are not but make no sense (tests/vm/liar.c), of pins and version tables, too. Whatever comes, each call of
a program ends; the kernel neither warns nor crashes, which would end the guest; and once the back-end is
good again, so is the mount."""
import os
import shutil
import subprocess

import kmod
from backend import BackEnd
from guest import COMMAND_SECONDS, check, same, wait_for
from versions import POISON, SLOTS, device, make_table, tmpfs

BUILD = os.environ["CAUSEWAY_PLAIN_BUILD"]
PROBE = os.path.abspath("probe")
# As many calls as probe makes, each with time.
PROBE_SECONDS = 3 * COMMAND_SECONDS
# Words are believed for long, though nobody watches the host.
SHARED = "cache=shared,attr_timeout=600,entry_timeout=600"
SLOT = 5  # of the liar's words

# What a lie must come to, of what probe does.
MUST = {
    "attr-is-directory": {"stat": "EIO"},
    "attr-is-nothing": {"stat": "EIO"},
    "root-again": {"deep": "EIO"},
    "mkdir-root": {"mkdir": "EIO"},
    "mkdir-file": {"mkdir": "EIO"},
    "create-root": {"create": "EIO"},
    "create-directory": {"create": "EIO"},
    "create-no-node": {"create": "EIO"},
    "root-is-file": {"stat": "EIO"},
    "symlink-parent": {"symlink": "EIO"},
    "entry-mode": {"stat": "EIO"},
    "plus-slashes": {"list": "EIO"},
    "plus-no-name": {"list": "EIO"},
    "plus-long-name": {"list": "EIO"},
    "plus-endless-name": {"list": "EIO"},
    "plus-wrapping-name": {"list": "EIO"},
    "read-more": {"read": "EIO", "direct": "EIO"},
    "written-more": {"write": "EIO"},
    "written-nothing": {"write": "EIO"},
}
# ... and which of them are of no other call's business.
ALONE = ("mknod-root", "create-root", "create-directory", "create-no-node", "symlink-parent")
# What is to make no difference: who has no pin has none, and a directory is never one.
VAIN = ("pins-unasked", "pins-of-other-wire", "pins-of-all")
# ... and those that are pins.
GIVEN = ("pins-of-all", "pins-broken", "pins-lose-writes")
OPEN = "14"
MALFORMED = ("nothing", "half-a-header", "len-beyond", "len-endless", "len-within-header", "len-zero",
             "other-unique", "no-unique", "interrupt-unique", "error-positive", "error-far",
             "error-least", "error-and-reply", "half-a-reply", "no-reply", "refuse")
# opcode → what of probe it shows in
SPOILT = {"LOOKUP": "stat", "GETATTR": "stat", "READDIRPLUS": "list", "READ": "read",
          "WRITE": "write", "READLINK": "readlink", "GETXATTR": "xattr", "OPEN": "read",
          "STATFS": "statvfs"}
# What may be short is what it is then; and what a server refuses it refuses.
SHORT = ("half-a-reply", "no-reply", "refuse")
INITS = ("nothing", "no-reply", "len-endless", "other-unique", "error-positive", "refuse",
         "other-major", "boundless", "no-write", "all-flags")


def mount(guest, name, options):
    return guest.try_run(f"mount -t causeway -o {options} {name} /mnt/{name}")[0] == 0


def probe(guest, name, what):
    """{call: result} of everything that a program may do there."""
    status, text = guest.try_run(f"{PROBE} /mnt/{name}", PROBE_SECONDS)
    same(f"{what}: status of the calls, of which the last did not end:\n{text}", status, 0)
    return dict(line.split(" = ") for line in text.splitlines())


def leave(guest, name):
    """Off, also where it is broken: nobody has anything open there."""
    guest.run(f"umount /mnt/{name}")


def lies_of(*words):
    return subprocess.run([os.path.join(BUILD, "tests/vm/liar"), "--list", *words], check=True,
                          stdout=subprocess.PIPE, text=True).stdout.split()


def opens(guest, name):
    """How many were sent since it was mounted."""
    words = guest.run(f"cat /sys/fs/causeway/{name}/requests_by_opcode").split()
    return int(dict(zip(words[::2], words[1::2])).get(OPEN, 0))


def tell_lies(guest, liar, options):
    lies = lies_of()
    check(set(MUST) <= set(lies), f"no lies: {set(MUST) - set(lies)}")
    check(mount(guest, liar.name, options), "it can't be mounted")
    good = probe(guest, liar.name, "a good server")
    same("a good server", {k: good[k] for k in ("stat", "read", "write", "list", "create", "xattr")},
         {"stat": "0", "read": "8192", "write": "5000", "list": "3", "create": "5000", "xattr": "8"})
    good_opens = opens(guest, liar.name)
    for lie in lies:
        leave(guest, liar.name)
        liar.set(lie)
        there = mount(guest, liar.name, options)
        # What is a lie about the root is seen at once.
        got = probe(guest, liar.name, lie) if there else {}
        wrong = {k: v for k, v in got.items() if v != good.get(k)}
        print(f"{options}: {lie}: " + ", ".join(f"{k} {v}" for k, v in wrong.items()), flush=True)
        check(there or lie not in (*MUST, *VAIN) or lie.startswith("attr"), f"{lie}: it can't be mounted")
        for what, want in MUST.get(lie, {}).items():
            same(f"{lie}: {what}", got.get(what, got.get("enter", want)), want)
        if lie in VAIN:
            same(f"{lie}: what is another's", wrong, {})
        if lie.startswith("pins"):
            same(f"{lie}: opens are spared", opens(guest, liar.name) < good_opens, lie in GIVEN)
        if lie in ALONE:
            same(f"{lie}: what else went wrong", len(wrong), 1)
        liar.set("none")
        # One that was believed would be there still.
        if not there:
            check(mount(guest, liar.name, options), f"it can't be mounted after {lie}")
    leave(guest, liar.name)
    check(mount(guest, liar.name, options), "it can't be mounted in the end")
    same("the good server again", probe(guest, liar.name, "after all"), good)
    leave(guest, liar.name)


# Who has it open hears that what was written is lost, once each, also where the server knows of one
# open file only; and who opens it then does not.
LOST = r"""
import errno, os, sys
def told(fd):
    try:
        os.fsync(fd)
    except OSError as e:
        return errno.errorcode[e.errno]
    return "-"
one, two, reader = (os.open(sys.argv[1], how) for how in (os.O_RDWR, os.O_RDWR, os.O_RDONLY))
print(*map(told, (one, two, reader)))
os.pwrite(one, b"x", 0)
print(*map(told, (one, one, two, two, reader, reader)), told(os.open(sys.argv[1], os.O_RDWR)))
"""


def lose_writes(guest, liar):
    liar.set("pins-lose-writes")
    check(mount(guest, liar.name, "cache=auto"), "it can't be mounted")
    got = guest.run(f"cat > /tmp/lost.py <<'END'\n{LOST}\nEND\npython3 /tmp/lost.py /mnt/{liar.name}/file")
    same("what is told of lost writes", got.splitlines(), ["- - -", "EIO - EIO - EIO - -"])
    leave(guest, liar.name)
    liar.set("none")


def requests(guest, name):
    return int(guest.run(f"cat /sys/fs/causeway/{name}/requests"))


def looks_cost(guest, name):
    """Requests of some looks at what was looked at before."""
    look = f"stat -c %i /mnt/{name}/dir/sub /mnt/{name}/file"
    guest.run(look)
    before = requests(guest, name)
    guest.run(f"{look}; {look}")
    return requests(guest, name) - before


def lie_about_words(guest, liar):
    """A table that is not the server's is not mapped, and a word that is not the table's is not read;
    what is right in all of that is believed."""
    lies = lies_of("words")
    for lie in (w for w in lies if w.startswith("hello")):
        liar.set(lie)
        guest.run("dmesg -C")
        check(not mount(guest, liar.name, SHARED), f"{lie}: it is mounted")
        check("cache=shared: " in guest.run("dmesg"), f"{lie}: nothing is said of it")
    liar.set("none")
    check(mount(guest, liar.name, SHARED), "it can't be mounted")
    good = probe(guest, liar.name, "words of nothing")
    for lie in (w for w in lies if w.startswith("words")):
        leave(guest, liar.name)
        liar.set(lie)
        if not mount(guest, liar.name, SHARED):
            same("what nobody mounts", lie, "words-cut")
            liar.set("none")
            check(mount(guest, liar.name, SHARED), "it can't be mounted")
            liar.set(lie)
            got = probe(guest, liar.name, lie)
            same(f"{lie}: stat", got.get("stat", got.get("enter")), "EIO")
            continue
        cost = looks_cost(guest, liar.name)
        print(f"{lie}: {cost} requests", flush=True)
        same(f"{lie}: it is believed", cost == 0, lie in ("words-kept", "words-of-second"))
        if cost:
            same(f"{lie}: the calls", probe(guest, liar.name, lie), good)
    leave(guest, liar.name)


def replace_table(guest, liar, tables):
    """One that is poisoned gives way to the one that the server names then, while others look."""
    liar.set("words-kept")
    check(mount(guest, liar.name, SHARED), "it can't be mounted")
    guest.run(f"""rm -f /tmp/stop; for i in 1 2 3; do
        (until [ -e /tmp/stop ]; do [ -e /mnt/{liar.name}/dir/sub ]; [ -e /mnt/{liar.name}/file ]; done) &
        done""")
    for lie, old, new in (("words-of-second", *tables), ("words-kept", *reversed(tables))):
        # The header says what was examined, whatever becomes of it.
        old.put(SLOTS, 1 << 40)
        liar.set(lie)
        old.put(POISON, 1)
        wait_for(f"the table of {lie}", lambda: looks_cost(guest, liar.name) == 0)
        before = requests(guest, liar.name)
        old.change(SLOT)
        guest.run(f"stat -c %i /mnt/{liar.name}/file")
        same(f"{lie}: a change in the old table", requests(guest, liar.name), before)
        new.change(SLOT)
        guest.run(f"stat -c %i /mnt/{liar.name}/file")
        check(requests(guest, liar.name) > before, f"{lie}: a change in the new table is not seen")
        old.put(SLOTS, old.slots)
        old.put(POISON, 0)
    guest.run("touch /tmp/stop; wait")
    leave(guest, liar.name)
    liar.set("none")


def spoil_replies(guest, hostile):
    check(mount(guest, hostile.name, "cache=none"), "it can't be mounted")
    good = probe(guest, hostile.name, "none")
    for opcode, what in SPOILT.items():
        for fault in MALFORMED:
            hostile.set(f"{opcode} {fault}")
            got = probe(guest, hostile.name, f"{opcode} with {fault}")
            if fault not in SHORT:
                same(f"{opcode} with {fault}: {what}", got.get(what, got.get("enter")), "EIO")
        hostile.set(f"{opcode} none")
        same(f"{opcode}: good again", probe(guest, hostile.name, opcode), good)
    leave(guest, hostile.name)
    for fault in INITS:
        hostile.set(f"INIT {fault}")
        if mount(guest, hostile.name, "cache=none"):
            probe(guest, hostile.name, f"INIT with {fault}")
            leave(guest, hostile.name)
    hostile.set("INIT none")


def never_answer(guest, hostile):
    """Who waits can be killed; the mount, the module and the memory of the request go all the same, when
    the server has had its time."""
    check(mount(guest, hostile.name, "cache=none,server_timeout=5"), "it can't be mounted")
    for opcode, command in (("READ", "cat /mnt/h/file"), ("GETATTR", "stat /mnt/h/file"),
                            ("READDIRPLUS", "ls /mnt/h"), ("WRITE", "echo x > /mnt/h/file")):
        hostile.set(f"{opcode} keep")
        guest.run(f"({command}) >/dev/null 2>&1 & "
                  "until [ $(cat /sys/fs/causeway/h/waiting) -gt 0 ]; do sleep 0.02; done; "
                  "pkill -9 -P $!; kill -9 $!; wait $! 2>/dev/null; "
                  f"pkill -9 -x {command.split()[0]}; true")
    hostile.set("READ none")
    leave(guest, hostile.name)
    guest.unload()


def ask_in_turn(guest, hostile):
    """Of one directory, where the server does not offer FUSE_PARALLEL_DIROPS: who asks second waits in
    the guest."""
    for init, most in (("none", 1), ("all-flags", 2)):
        for opcode, commands in (("LOOKUP", ("stat /mnt/h/n1", "stat /mnt/h/n2")),
                                 ("READDIRPLUS", ("ls /mnt/h", "ls /mnt/h"))):
            hostile.set(f"INIT {init}")
            check(mount(guest, hostile.name, "cache=none,server_timeout=8"), "it can't be mounted")
            hostile.set(f"{opcode} keep")
            start = " ".join(f"{c} >/dev/null 2>&1 & p{n}=$!;" for n, c in enumerate(commands))
            got = guest.run(f"""{start} sent() {{ cat /sys/fs/causeway/h/waiting; }}
                at() {{ echo $(cat /proc/$p0/wchan) $(cat /proc/$p1/wchan); }}
                until [ $(sent) = 2 ] || {{ [ $(sent) = 1 ] &&
                    at | grep -Ewq 'lookup|cw_asks_lock|ask|show_asked|cw_iterate'; }}
                do sleep 0.02; done; sent; kill -9 $p0 $p1; wait $p0 $p1 2>/dev/null; true""")
            same(f"{opcode}s at once with INIT {init}", got.split()[0], str(most))
            leave(guest, hostile.name)
    hostile.set("INIT none")


def claim_more(guest, hostile):
    """What the ring says was written is not believed: a reply has its own length, within what was
    asked for."""
    guest.run(f"insmod {guest.module}")
    check(mount(guest, hostile.name, "cache=none"), "it can't be mounted")
    good = probe(guest, hostile.name, "none")
    for opcode in ("STATFS", "READ", "LOOKUP"):
        hostile.set(f"{opcode} used-beyond")
        same(f"{opcode} with used-beyond", probe(guest, hostile.name, opcode), good)
    hostile.set("READ none")
    leave(guest, hostile.name)


def on_kernel(kernel):
    paths = [os.path.join(tmpfs(), name) for name in ("one", "two")]
    tables = [make_table(path) for path in paths]
    hostile, liar = BackEnd("tests/mount/hostile", "h"), BackEnd("tests/vm/liar", "l", *paths)
    guest = kmod.KmodGuest(kernel, *kmod.share(hostile), *kmod.share(liar), "--memory", "1G", "--cpus", "2",
                           *device("one", paths[0]), *device("two", paths[1]))
    guest.run("umount /mnt/h /mnt/l")
    for options in ("cache=none", "cache=auto,writeback"):
        tell_lies(guest, liar, options)
    lose_writes(guest, liar)
    lie_about_words(guest, liar)
    replace_table(guest, liar, tables)
    spoil_replies(guest, hostile)
    never_answer(guest, hostile)
    claim_more(guest, hostile)
    ask_in_turn(guest, hostile)
    same("kernel warnings", guest.complaints(), [])
    same("status", guest.close(), 0)
    hostile.end()
    liar.end()
    print(f"{kernel}: passed", flush=True)


def main():
    shutil.copy(os.path.join(BUILD, "tests/vm/probe"), PROBE)
    # Not at the same time: what is to be done in time would not be.
    for kernel in kmod.KERNELS:
        on_kernel(kernel)


main()

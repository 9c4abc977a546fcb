# SPDX-License-Identifier: BSD-2-Clause
# check: full timeout=400 needs=make,gcc-12,checkpolicy
"""What causeway.ko sends, counted: requests of each processor in its own queue, forgets many at a time,
SYNCFS and DESTROY, what a new file and a listing cost, asynchronous direct I/O, what the options say of READs and of how long
names and attributes are believed; each of its trace points. And labels of SELinux, which are sent with
what is made, and asked for again when they may have changed."""
import os
import signal
import subprocess

import kmod
import ways
from guest import FULL, SRC, Daemon, check, host, same, wait_for, warnings_of

NAMES = ways.opcode_numbers(SRC)
LABEL = "security.selinux"
EVENTS = "/sys/kernel/tracing/events/causeway"
# As little as a kernel takes: it knows labels of two kinds, and has them of this file system's files.
POLICY = """
class process class file class dir class lnk_file class chr_file class fifo_file class filesystem
sid kernel sid security sid unlabeled
common all { read write getattr setattr relabelfrom relabelto }
class process { transition dyntransition }
class file inherits all
class dir inherits all
class lnk_file inherits all
class chr_file inherits all
class fifo_file inherits all
class filesystem { associate }
type one; type two;
role r; role r types { one two };
allow one one:file read;
user u roles { r };
sid kernel u:r:one
sid security u:r:one
sid unlabeled u:r:one
fs_use_xattr causeway u:r:one;
"""
# Sixteen pieces of a file by one io_submit(2), past the page cache: read, or written as they are.
DEPTH = 16
AIO = r"""
import ctypes, mmap, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    r = libc.syscall(number, *args)
    if r < 0:
        raise OSError(ctypes.get_errno(), "system call %d" % number)
    return r
path, command, depth, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), 4096
fd = os.open(path, os.O_RDWR | os.O_DIRECT)
memory = mmap.mmap(-1, depth * size)
os.preadv(fd, [memory], 0)
was = bytes(memory)
if command == 0:
    memory[:] = bytes(depth * size)
buffer = ctypes.addressof(ctypes.c_char.from_buffer(memory))
blocks = [ctypes.create_string_buffer(struct.pack("<QIIHhIQQqQII", i, 0, 0, command, 0, fd, buffer + i * size,
                                                  size, i * size, 0, 0, 0), 64) for i in range(depth)]
context = ctypes.c_ulong()
call(206, depth, ctypes.byref(context))  # io_setup
print("ready", flush=True)
sys.stdin.readline()
call(209, context, depth, (ctypes.c_void_p * depth)(*map(ctypes.addressof, blocks)))  # io_submit
print("submitted", flush=True)
events = ctypes.create_string_buffer(32 * depth)
call(208, context, depth, depth, events, None)  # io_getevents
print(sorted(e[2] for e in struct.iter_unpack("<QQqq", events)) == [size] * depth, bytes(memory) == was)
"""


def sent(guest, tag):
    """{name: requests} of what the mount has sent; those that are not FUSE's have none."""
    return {NAMES[op]: n for op, n in guest.sent(tag).items() if op in NAMES}


def costs(guest, tag, command):
    """What requests a command costs."""
    before = sent(guest, tag)
    guest.run(command)
    return {name: n - before.get(name, 0) for name, n in sent(guest, tag).items() if n != before.get(name, 0)}


def mount(guest, tag, options):
    guest.run(f"umount /mnt/{tag}; mount -t causeway -o {options} {tag} /mnt/{tag}")


def queues(guest, daemon, tag):
    """Who looks from one processor is in one queue, and from the other in the other."""
    mount(guest, tag, "cache=none")
    used = []
    for cpu in (0, 1):
        before, _, _ = daemon.statistics()
        guest.run(f"taskset -c {cpu} sh -c 'for i in $(seq 300); do [ ! -e /mnt/{tag}/none ]; done'")
        after, _, _ = daemon.statistics()
        more = {q: after[q]["requests"] - before.get(q, {}).get("requests", 0) for q in after if q > 0}
        used += [q for q, n in more.items() if n >= 300]
        check(sum(n for n in more.values() if n < 300) < 10, f"processor {cpu}: requests by queue: {more}")
    same("queues of the two processors", sorted(used), [1, 2])


def forgets(guest, daemon, tag):
    mount(guest, tag, "cache=auto")
    before = sent(guest, tag)
    same("files", guest.run(f"ls -l /mnt/{tag}/many | tail -n +2 | wc -l"), "1000\n")

    def forgotten():
        guest.run("echo 3 > /proc/sys/vm/drop_caches")
        return daemon.statistics()[1] <= 1
    check(daemon.statistics()[1] > 1000, "files that were listed are not known")
    wait_for("the server has forgotten them", forgotten)
    after = sent(guest, tag)
    same("FORGET by itself", after.get("FORGET"), before.get("FORGET"))
    batches = after["BATCH_FORGET"] - before.get("BATCH_FORGET", 0)
    print(f"1000 files in {batches} batches")
    check(8 <= batches < 100, f"{batches} batches of forgets of 1000 files")


def options(guest, tag):
    mount(guest, tag, "cache=auto")
    same("sync -f", costs(guest, tag, f"sync -f /mnt/{tag}").get("SYNCFS"), 1)
    read = f"dd if=/mnt/{tag}/big of=/dev/null bs=1M iflag=direct status=none"
    most = costs(guest, tag, read)["READ"]
    check(most <= 4, f"{most} READs of a MiB")
    mount(guest, tag, "max_read=65536")
    # One more where the program's buffer does not begin with a page.
    small = costs(guest, tag, read)["READ"]
    check(small in (16, 17), f"{small} READs of a MiB, at most 64 KiB each")
    check(costs(guest, tag, f"cat /mnt/{tag}/big > /dev/null")["READ"] >= 16, "buffered READs are larger")
    look = f"stat -c %i /mnt/{tag}/many/1; stat -c %i /mnt/{tag}/many/1"
    missing = f"[ ! -e /mnt/{tag}/none ] && [ ! -e /mnt/{tag}/none ]"
    mount(guest, tag, "attr_timeout=600,entry_timeout=600,negative_timeout=600")
    guest.run(f"{look}; {missing}")
    same("what is believed for long", [costs(guest, tag, c) for c in (look, missing)], [{}, {}])
    guest.run(f"mount -i -t causeway -o remount,attr_timeout=0 {tag} /mnt/{tag}")
    # Those that came before go by what was said then.
    host(f"touch {tag}/many/1; chmod 600 {tag}/many/1")
    guest.run(f"echo 3 > /proc/sys/vm/drop_caches; {look}")
    # Of the directories on the way, too.
    cost = costs(guest, tag, look)
    check(cost.get("GETATTR", 0) >= 2 and "LOOKUP" not in cost, f"attributes that are not believed: {cost}")
    mount(guest, tag, "attr_timeout=600,entry_timeout=0,negative_timeout=0")
    guest.run(look)
    got = [costs(guest, tag, c) for c in (f"stat -c %i /mnt/{tag}/big; stat -c %i /mnt/{tag}/big", missing)]
    same("names that are not believed", got, [{"LOOKUP": 2}, {"LOOKUP": 2}])
    # What a remount says of names, is so of those that are looked up from then on.
    guest.run(f"mount -i -t causeway -o remount,entry_timeout=600,negative_timeout=600 {tag} /mnt/{tag}; {look}; {missing}")
    same("names that are believed since the remount", [costs(guest, tag, c) for c in (look, missing)], [{}, {}])
    guest.run(f"mount -i -t causeway -o remount,entry_timeout=0,negative_timeout=0 {tag} /mnt/{tag}; "
              f"echo 3 > /proc/sys/vm/drop_caches; {look}")
    cost = costs(guest, tag, look)
    check(cost.get("LOOKUP", 0) >= 2, f"names that are not believed since the remount: {cost}")


def files(guest, tag):
    """A new file is one request, and its attributes are none; a long listing asks for no file by itself."""
    mount(guest, tag, "attr_timeout=600,entry_timeout=600")
    guest.run(f"ls /mnt/{tag} > /dev/null; cat /mnt/{tag}/big > /dev/null")
    makes = costs(guest, tag, f"echo new > /mnt/{tag}/new")
    makes.pop("RELEASE", None)  # is not waited for
    # The shell has it twice, and closes both.
    same("a new file, written and closed", makes, {"LOOKUP": 1, "CREATE": 1, "WRITE": 1, "FLUSH": 2})
    guest.run("echo 3 > /proc/sys/vm/drop_caches")
    lists = costs(guest, tag, f"ls -ln /mnt/{tag}/many > /tmp/listed")
    same("lines of the listing", guest.run("wc -l < /tmp/listed"), "1001\n")
    print(f"a new file: {makes}; a listing of 1000: {lists}")
    # Of the directory itself, and of what leads to it.
    check(lists.get("LOOKUP", 0) + lists.get("GETATTR", 0) + lists.get("STATX", 0) <= 4, f"a long listing: {lists}")
    check(1 <= lists["READDIRPLUS"] < 100 and "READDIR" not in lists, f"a long listing: {lists}")


def asynchronous(guest, daemon, tag):
    """While the server takes nothing, all that one program has begun waits at once; it does not."""
    mount(guest, tag, "server_timeout=0")
    guest.run(f"cat > /tmp/aio.py <<'END'\n{AIO}\nEND\nmkfifo /tmp/go")
    content = host(f"cksum < {tag}/big")
    for what, command in (("read", 0), ("written", 1)):
        guest.run(f"python3 /tmp/aio.py /mnt/{tag}/big {command} {DEPTH} </tmp/go >/tmp/aio 2>&1 & aio=$!; "
                  "exec 7>/tmp/go; until grep . /tmp/aio; do sleep 0.02; done")
        os.kill(daemon.pid, signal.SIGSTOP)
        try:
            _, said = guest.try_run(f"""echo >&7; for i in $(seq 100); do
                [ $(cat /sys/fs/causeway/{tag}/waiting) = {DEPTH} ] && grep -q submitted /tmp/aio && break
                sleep 0.05; done; cat /sys/fs/causeway/{tag}/waiting /tmp/aio""")
        finally:
            os.kill(daemon.pid, signal.SIGCONT)
        same(f"{what}: requests that wait", said.split(), [str(DEPTH), "ready", "submitted"])
        same(f"{what}: what came of them", guest.run("exec 7>&-; wait $aio; tail -n 1 /tmp/aio"), "True True\n")
    same("the file", host(f"cksum < {tag}/big"), content)


def traces(guest, tag):
    mount(guest, tag, "cache=auto")
    same("trace points", sorted(guest.run(f"mountpoint -q /sys/kernel/tracing || mount -t tracefs none "
                                          f"/sys/kernel/tracing; cd {EVENTS}; ls -d */; cd /").split()),
         [f"causeway_{what}/" for what in ("abort", "interrupt", "reply", "send")])
    guest.run(f"echo 1 > {EVENTS}/enable; stat /mnt/{tag}/none; touch /mnt/{tag}/lock")
    guest.run(f"""flock /mnt/{tag}/lock sh -c 'flock /mnt/{tag}/lock true & p=$!
        until [ $(cat /sys/fs/causeway/{tag}/waiting) -gt 0 ]; do :; done; kill $p; wait $p; true'""")
    guest.run(f"echo 1 > /sys/fs/causeway/{tag}/abort; echo 0 > {EVENTS}/enable")
    lines = guest.run("cat /sys/kernel/tracing/trace").splitlines()
    for event, words in (("send", "opcode 1 "), ("reply", "opcode 33: 0"), ("interrupt", "opcode 33 "),
                         ("abort", "requests wait")):
        check(any(f"causeway_{event}: {tag}: " in line and words in line for line in lines),
              f"no causeway_{event} with '{words}' among {len(lines)} lines:\n" + "\n".join(lines[-40:]))
    guest.run(f"umount /mnt/{tag}; mount -t causeway {tag} /mnt/{tag}; echo > /sys/kernel/tracing/trace; "
              f"echo 1 > {EVENTS}/enable; umount /mnt/{tag}; echo 0 > {EVENTS}/enable")
    same("DESTROYs by an unmount", guest.run("grep -c 'causeway_send.* opcode 38 ' /sys/kernel/tracing/trace"), "1\n")
    guest.run(f"mount -t causeway {tag} /mnt/{tag}")


def label(path):
    try:
        return os.getxattr(path, LABEL, follow_symlinks=False)
    except OSError:
        return None


def labels(guest, on, off):
    """As with Linux's driver (test_labels.py): there is no policy, and one label for all."""
    for tag in (on, off):
        guest.run(f"cd /mnt/{tag}; touch f; mkdir d; ln -s f l; mknod p p; mknod c c 1 3; cd /")
    first = label(f"{on}/f")
    check(first and first.endswith(b"\0"), f"label of a file: {first}")
    for name in "cdflp":
        same(f"label of {name}", label(f"{on}/{name}"), first)
        same(f"label of {name} without the option", label(f"{off}/{name}"), None)


def labels_move(guest, tag):
    """With a policy: what the guest's kernel keeps of a label goes when the file has changed."""
    with open("policy.conf", "w", encoding="ascii") as f:
        f.write(POLICY)
    host("checkpolicy -U allow -c 31 -o policy policy.conf")
    os.rename("policy", f"{tag}/policy")
    os.setxattr(f"{tag}/f", LABEL, b"u:r:one\0")
    guest.run(f"umount /mnt/{tag}; mountpoint -q /sys/fs/selinux || mount -t selinuxfs none /sys/fs/selinux; "
              f"mount -t causeway -o attr_timeout=0 {tag} /mnt/{tag}; cp /mnt/{tag}/policy /tmp/policy; "
              "dd if=/tmp/policy of=/sys/fs/selinux/load bs=4M status=none")
    ask = f"getfattr --absolute-names --only-values -n {LABEL} /mnt/{tag}/f"
    same("label", guest.run(ask).rstrip("\0"), "u:r:one")
    same("what is asked for again where nothing has changed", costs(guest, tag, ask).get("GETXATTR", 0), 0)
    os.setxattr(f"{tag}/f", LABEL, b"u:r:two\0")
    same("label that the host has changed", guest.run(ask).rstrip("\0"), "u:r:two")


def one_kernel(kernel):
    main, on, off = (f"{what}{kernel.replace('.', '-')}" for what in ("s", "on", "off"))
    for name in (main, on, off):
        os.mkdir(name)
    os.mkdir(f"{main}/many")
    host(f"cd {main}/many; touch $(seq 1000); head -c 1M /dev/urandom > ../big")
    keep = ("--xattr", "--modcaps", "+sys_admin")  # the host asks that of who sets security.*
    daemon = Daemon(main, "--posix-lock", "--flock", name=main)
    others = [Daemon(on, "--security-label", *keep, name=on), Daemon(off, *keep, name=off)]
    guest = kmod.KmodGuest(kernel, *(w for d in (daemon, *others) for w in kmod.share(d)), "--cpus", "2",
                           "--queues", "2", "--append", "security=selinux")
    queues(guest, daemon, main)
    forgets(guest, daemon, main)
    options(guest, main)
    files(guest, main)
    asynchronous(guest, daemon, main)
    traces(guest, main)
    labels(guest, on, off)
    labels_move(guest, on)
    same("kernel warnings", warnings_of(guest), [])
    same("status", guest.close(), 0)
    same("status of daemons", [d.wait() for d in (daemon, *others)], [0] * 3)


for version in kmod.KERNELS if FULL else ("6.1",):
    one_kernel(version)

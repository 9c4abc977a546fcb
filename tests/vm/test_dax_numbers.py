# SPDX-License-Identifier: BSD-2-Clause
# check: full timeout=1200 jobs=2 needs=fio
"""Memory used once: what a guest reads through a window is in no memory of the guest, and in the
page cache of the host once. And how fast fio is with a window and without, printed."""
import json

from dax import dax_daemon, dax_guest, make, qemu_of
from guest import check, host, same
from mapper import There, pattern

SIZE = 192 << 20
CHUNK = 4 << 20
LIMIT = 300
FIO = ("fio --name=x --filename=/mnt/{0}/big --readonly --minimal --output-format=json --runtime={1} "
       "--time_based --size=" + str(SIZE))
JOBS = {
    "read(2), 4 KiB, random": "--ioengine=psync --rw=randread --bs=4k",
    "mmap, 4 KiB, random": "--ioengine=mmap --rw=randread --bs=4k",
    "read(2), 1 MiB, in order": "--ioengine=psync --rw=read --bs=1m",
}
SECONDS = 2


def meminfo(guest, name):
    return int(guest.run(f"awk '/^{name}:/ {{ print $2 }}' /proc/meminfo")) << 10


def memory_of(pid):
    """(memory of the guest, pages of files) that QEMU has touched, in bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        found = {line.split()[0]: int(line.split()[1]) << 10 for line in f
                 if line.startswith("Rss")}
    return found["RssShmem:"], found["RssFile:"]


def host_cached(path):
    """Bytes of the file in the host's page cache."""
    return int(host(f"fincore -bno RES {path}"))


def memory(guest, name, directory):
    """What reading all of a file, by read(2) and in memory, costs where."""
    guest.run("echo 3 > /proc/sys/vm/drop_caches")
    before = meminfo(guest, "Cached"), *memory_of(qemu_of(guest))
    guest.run(f"cat /mnt/{name}/big > /dev/null", LIMIT)
    mapper = There(guest)
    mapper.do(f"open 0 /mnt/{name}/big r")
    mapper.do(f"map 0 0 {SIZE} r")
    mapper.ask(f"touch 0 0 {SIZE}", seconds=LIMIT)
    after = meminfo(guest, "Cached"), *memory_of(qemu_of(guest))
    mapper.end()
    grown = [(a - b) / SIZE for a, b in zip(after, before)]
    print(f"{name}: of a file of {SIZE >> 20} MiB: {grown[0]:.2f} in the guest's page cache, "
          f"{grown[1]:.2f} more of its memory used, {grown[2]:.2f} in QEMU from the file's own pages, "
          f"{host_cached(f'{directory}/big') / SIZE:.2f} in the host's page cache", flush=True)
    return grown


def speed(guest, name, cold):
    """Operations each second of fio's jobs; cold: nothing in the guest's page cache at first."""
    result = {}
    for job, options in JOBS.items():
        guest.run("echo 3 > /proc/sys/vm/drop_caches" if cold else ":")
        more = " --direct=1" if cold == "direct" and "mmap" not in options else ""
        text = guest.run(f"{FIO.format(name, SECONDS)} {options}{more}", LIMIT)
        result[job] = json.loads(text[text.index("{"):])["jobs"][0]["read"]["iops"]
    return result


shares = [dax_daemon("shared", name="with", window=256 << 20),
          dax_daemon("shared", name="without", dax="never", window=256 << 20)]
with open("shared/big", "wb") as big:
    for at in range(0, SIZE, CHUNK):
        big.write(pattern(at, CHUNK, 1))
host("sync; cat shared/big > /dev/null")
vm = dax_guest(*shares, options=("--memory", "1G", "--cpus", "1"))
through, kept = (memory(vm, d.name, "shared") for d in shares)
check(through[0] < 0.1 and through[1] < 0.1, "the guest keeps what it reads through the window")
check(through[2] > 0.9, "QEMU has not mapped the file")
check(kept[0] > 0.8 and kept[1] > 0.8, "without a window the guest keeps nothing: no comparison")
numbers = {"window": speed(vm, "with", True), "cold": speed(vm, "without", True),
           "direct": speed(vm, "without", "direct")}
for job in JOBS:
    print(f"{job}: {numbers['window'][job]:.0f}/s through the window, {numbers['cold'][job]:.0f}/s "
          f"without ({numbers['window'][job] / numbers['cold'][job]:.1f} times), "
          f"{numbers['direct'][job]:.0f}/s without the guest's cache "
          f"({numbers['window'][job] / numbers['direct'][job]:.1f} times)")
same("status", (vm.close(), *(d.wait() for d in shares)), (0, 0, 0))

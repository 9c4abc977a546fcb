# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=900
"""Several request queues: a 6.12 guest with two processors uses both, and the daemon serves both at
once."""
import os

import fscompare
from guest import FSCASES, Daemon, Guest, check, host, same, setup_path, warnings_of

kernel = setup_path("kernel-6.12")[0]
os.mkdir("shared")
os.mkdir("host")
d = Daemon("shared")
programs = Daemon("/usr/bin", "--readonly")
vm = Guest("--socket", f"{d.socket}:s", "--socket", f"{programs.socket}:u", "--kernel", kernel,
           "--cpus", "2", "--queues", "2", "--memory", "2G")
check(vm.run("uname -r").startswith("6.12"), "another kernel runs")
before, _, _ = d.statistics()
# A process on each processor; each processor has its queue.
script = ("mkdir /mnt/s/c{0}; for i in $(seq 200); do echo {0} $i > /mnt/s/c{0}/$i; "
          "cat /mnt/s/c{0}/$i >/dev/null; done")
vm.run("; ".join(f"taskset -c {n} sh -c '{script.format(n)}' & p{n}=$!" for n in (0, 1))
       .replace("; taskset", " taskset") + "; wait $p0 && wait $p1", 200)
after, _, _ = d.statistics()
same("used queues", sorted(q for q in after if q > 0), [1, 2])
for q in (1, 2):
    more = {k: after[q][k] - before.get(q, {}).get(k, 0) for k in after[q]}
    print(f"queue {q}: {more}")
    check(more["requests"] >= 400, f"queue {q} served {more['requests']} requests only")
    check(more["kicks"] > 0 and more["calls"] > 0 and not more["errors"], f"queue {q}: {more}")
for n in (0, 1):
    same(f"sums of c{n}", vm.run(f"cd /mnt/s/c{n}; cat $(seq 200) | cksum; cd /"),
         host(f"cd shared/c{n}; cat $(seq 200) | cksum"))
# With the queue size that `causeway vm` gives, one request carries 1 MiB: half as much would need
# twice the requests.
host("dd if=/dev/urandom of=shared/big bs=1M count=16 status=none")
before, _, _ = d.statistics()
same("big", vm.run("dd if=/mnt/s/big bs=1M iflag=direct status=none | cksum"),
     host("cksum < shared/big"))
after, _, _ = d.statistics()
requests = sum(after[q]["requests"] - before[q]["requests"] for q in (1, 2))
print(f"16 MiB took {requests} requests")
check(requests < 26, f"16 MiB took {requests} requests: less than 1 MiB each")
vm.run("cksum /mnt/s/big")
host("printf changed | dd of=shared/big conv=notrunc status=none")
same("big, changed", vm.run("cksum < /mnt/s/big"), host("cksum < shared/big"))
# What it has read it keeps when it opens a file again that nobody has changed for long.
OLD = "qemu-system-x86_64"
vm.run(f"cksum /mnt/u/{OLD}")
before, _, _ = programs.statistics()
same("read again", vm.run(f"cksum < /mnt/u/{OLD}"), host(f"cksum < /usr/bin/{OLD}"))
after, _, _ = programs.statistics()
requests = sum(after[q]["requests"] - before[q]["requests"] for q in after if q > 0)
check(requests < 10, f"opened again unchanged, it took {requests} requests")
vm.run("rm -r /mnt/s/*")
status, text = vm.try_run(f"{FSCASES} /mnt/s", 250)
same("status of the cases", status, 0)
wrong = fscompare.differences(fscompare.run_here("host"), fscompare.read(text), "auto",
                              fscompare.explained_for(6, 12))
same("differences", wrong, [])
same("kernel warnings", warnings_of(vm), [])
same("status", (vm.close(), d.wait(), programs.wait()), (0, 0, 0))

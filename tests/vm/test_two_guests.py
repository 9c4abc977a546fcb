# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=600
"""Two guests on one directory: each sees the other's work, both can work at once, and nothing is
lost."""
import os

from guest import Guest, fast_qemu, host, same

FILES = 40


def see_each_other(a, b):
    a.run("echo from-a > /mnt/s/a")
    same("b reads", b.run("cat /mnt/s/a"), "from-a\n")
    b.run("echo from-b >> /mnt/s/a")
    same("a reads", a.run("sleep 1.1; cat /mnt/s/a"), "from-a\nfrom-b\n")
    b.run("mkdir /mnt/s/d; mv /mnt/s/a /mnt/s/d/c")
    same("a lists", a.run("sleep 1.1; ls /mnt/s /mnt/s/d").split(), ["/mnt/s:", "d", "/mnt/s/d:",
                                                                    "c"])
    a.run("rm -r /mnt/s/d")
    same("b lists", b.run("sleep 1.1; ls /mnt/s"), "")
    same("on the host", os.listdir("shared"), [])


def work_at_once(a, b):
    """Both make, rename and remove in one directory; then both see the same."""
    for name, guest in (("a", a), ("b", b)):
        guest.send(f"(cd /mnt/s; for i in $(seq {FILES}); do echo $i > {name}$i; "
                   f"mv {name}$i {name}-$i; [ $((i % 2)) = 0 ] || rm {name}-$i; done) &\n")
    for guest in (a, b):
        guest.run("wait")
    want = sorted(f"{g}-{i}" for g in "ab" for i in range(2, FILES + 1, 2))
    for who, names in (("a", a.run("ls /mnt/s").split()), ("b", b.run("ls /mnt/s").split()),
                       ("host", os.listdir("shared"))):
        same(f"names that {who} sees", sorted(names), want)
    sums = [g.run("cd /mnt/s; sleep 1.1; cat $(ls) | cksum; cd /") for g in (a, b)]
    same("sums", sums, [host("cd shared; cat $(ls) | cksum")] * 2)


def exclusive(a, b):
    """O_EXCL and mkdir have one winner, whichever guest asks."""
    for guest, names in ((a, "$(seq 50)"), (b, "$(seq 50 -1 1)")):
        guest.send(f"won=0; for i in {names}; do mkdir /mnt/s/x$i 2>/dev/null && "
                   "won=$((won + 1)); done\n")
    won = [int(g.run("echo $won")) for g in (a, b)]
    print(f"won: {won}")
    same("winners", sum(won), 50)


os.mkdir("shared")
one = Guest(*fast_qemu(), "--share", "shared:s", "--cache", "auto")
two = Guest(*fast_qemu(), "--share", "shared:s", "--cache", "auto")
see_each_other(one, two)
work_at_once(one, two)
exclusive(one, two)
same("status", (one.close(), two.close()), (0, 0))

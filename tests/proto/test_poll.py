# SPDX-License-Identifier: BSD-2-Clause
"""Rings that are looked at before their threads sleep: what comes without a kick, and that an idle
share costs nothing.

A window may become 10 s long here. It doubles with each request that came too late for it, so
sooner or later it outlasts whatever the machine does besides: then nothing is kicked."""

import os
import time

from fuse import ROOT
from harness import case, equal, main, tempdir, until
from world import World

LONG = ("--poll", "10000000")
TSAN = os.environ["CAUSEWAY_CHECK_BUILD"] == "tsan"


def warm(w, queue=1):
    """Until the ring is looked at for so long that requests are found."""
    q = w.fe.queues[queue]
    until("20 requests without a kick",
          lambda: kicks_of(q, lambda: [w.fs.alive(queue) for _ in range(20)]) == 0)


def kicks_of(q, act):
    before = q.kicks
    act()
    return q.kicks - before


@case("requests that come while a ring is looked at need no kick, and are answered")
def caught():
    w = World(*LONG)
    warm(w)
    w.close()


@case("... nor do forgets meanwhile, on the high-priority ring")
def borrowed():
    w = World(*LONG)
    first = w.fs.lookup("dir")
    w.fs.forget(first.nodeid)
    warm(w)
    q = w.fe.queues[0]

    def one():
        node = w.fs.lookup("dir").nodeid
        w.fs.forget(node)
        w.fs.stale(node)

    until("20 forgets without a kick", lambda: kicks_of(q, lambda: [one() for _ in range(20)]) == 0)
    w.close()


@case("a ring that is borrowed stops, starts and serves; so does the one that borrowed it")
def stops():
    w = World(*LONG)
    w.fs.forget(w.fs.lookup("dir").nodeid)
    warm(w)
    for index in (0, 1, 0, 1):
        w.restart(index)
        w.fs.forget(w.fs.lookup("dir").nodeid)
        warm(w)
    w.check()
    w.close()


@case("memory comes and goes while rings are looked at")
def memory():
    w = World(*LONG)
    w.fs.forget(w.fs.lookup("dir").nodeid)
    for _ in range(5):
        warm(w)
        w.fe.set_memory()
    w.check()
    w.close()


@case("a borrowed ring that breaks is told of, and the borrower goes on")
def breaks():
    w = World(*LONG, requests=2)
    w.fs.forget(w.fs.lookup("dir").nodeid)
    warm(w)
    q = w.fe.queues[0]
    q.put_avail(q.size + 1)
    q.set_avail_idx()
    q.wait_error()
    w.check((1, 2))
    w.restart(0)
    w.fs.forget(w.fs.lookup("dir").nodeid)
    w.check((1, 2))
    w.close()


@case("a wait for a lock that a borrowed ring brought ends when its queue stops")
def deferred():
    w = World(*LONG)
    w.fs.forget(w.fs.lookup("dir").nodeid)
    warm(w)
    token = w.fs.start("GETATTR", ROOT, b"\0" * 16, 120, queue=0)
    equal(w.fs.finish(token).error, 0, "GETATTR on the high-priority ring")
    fsync = w.fs.start("SYNCFS", ROOT, b"\0" * 8, 16, queue=0)
    equal(w.fs.finish(fsync).error, 0, "SYNCFS on the high-priority ring")
    w.fe.stop_queue(0)
    w.fe.answers()
    w.close()


def activity(pid):
    """What all threads of a process have done: switches of context, and clock ticks."""
    total = []
    for task in sorted(os.listdir(f"/proc/{pid}/task")):
        with open(f"/proc/{pid}/task/{task}/comm", encoding="ascii") as f:
            # ThreadSanitizer has one of its own, without a name of its own, that never rests.
            if TSAN and task != str(pid) and f.read() == "causewayd\n":
                continue
        with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as f:
            total += [line for line in f if "ctxt_switches" in line]
        with open(f"/proc/{pid}/task/{task}/stat", encoding="ascii") as f:
            total.append(f.read().rsplit(")", 1)[1].split()[11:13])
    return total


@case("a share that nobody uses wakes up nobody for 10 s")
def idle():
    w = World("--control-path", os.path.join(tempdir(), "control"), requests=2)
    for queue in (1, 2):
        for _ in range(100):
            w.fs.alive(queue)
    w.fs.forget(w.fs.lookup("dir").nodeid)
    pid = w.daemon.pid
    last = [activity(pid)]

    def settled():
        time.sleep(0.2)
        now = activity(pid)
        same = now == last[0]
        last[0] = now
        return same

    until("the threads go on after the last request", settled)
    time.sleep(10)
    equal(activity(pid), last[0], "what the threads have done")
    w.check((1, 2))
    w.close()


if __name__ == "__main__":
    main()

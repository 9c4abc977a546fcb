# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain,asan
"""--without: what is left out is not done, by the daemon's own counters, and all is served; with it,
it is."""

import errno
import fcntl
import os
import struct
import subprocess

from fuse import INIT_FLAGS, ROOT
from harness import Skip, case, check, equal, main, tempdir, until
from metrics import ask, parse, value
from vu import F_EVENT_IDX
from world import World

LOCKS = INIT_FLAGS | 1 << 1  # POSIX_LOCKS
POLLS = ("--poll", "10000000")
SOMEBODY = 1000
MANY = 20


def started(without, *options, **kw):
    """A world, and a function that gives one of its counters."""
    path = os.path.join(tempdir(), "control")
    w = World("--control-path", path, *options, *(("--without", without) if without else ()),
              **kw)
    return w, lambda name, **labels: value(parse(ask(path)), name, **labels)


def births(path):
    """Whether a file has a time of birth."""
    return subprocess.check_output(("stat", "-c", "%W", path)).strip() not in (b"0", b"-")


def ended(w):
    w.check()
    w.close()


@case("polling: a queue's thread sleeps as soon as there is nothing")
def polling():
    def looks(count):
        return (count("queue_poll_caught_total", queue="1") +
                count("queue_poll_missed_total", queue="1"))

    w, count = started(None, *POLLS)
    until("nothing was polled", lambda: w.fs.alive() or looks(count) > 0)
    ended(w)
    w, count = started("polling", *POLLS)
    for _ in range(MANY):
        w.fs.alive()
    equal(looks(count), 0, "polls")
    ended(w)


@case("borrowing: FORGETs are served by their own queue's thread")
def borrowing():
    def forget(w):
        w.fs.forget(w.fs.lookup("dir").nodeid)

    w, count = started(None, *POLLS)
    until("nothing was borrowed",
          lambda: forget(w) or count("queue_borrowed_total", queue="0") > 0)
    ended(w)
    w, count = started("borrowing", *POLLS)
    # Queue 1 is polled all the time meanwhile.
    until("nothing is polled",
          lambda: w.fs.alive() or count("queue_poll_caught_total", queue="1") > MANY)
    for _ in range(MANY):
        forget(w)
    until("forgets are not served", lambda: count("queue_requests_total", queue="0") == MANY)
    equal(count("queue_borrowed_total", queue="0"), 0, "borrowed")
    ended(w)


@case("event-idx: the feature is not offered")
def event_idx():
    for without, offered in ((None, F_EVENT_IDX), ("event-idx", 0)):
        w, _ = started(without)
        equal(w.fe.features & F_EVENT_IDX, offered, f"without {without}")
        ended(w)


@case("answering: the queue's thread is woken for what the pool has")
def answering():
    def synced(w, node, fh):
        return w.fs.good("FSYNC", node, struct.pack("<QII", fh, 0, 0), 16)

    for without in ("polling", "polling,answering"):
        w, count = started(without)
        node = w.fs.lookup("file").nodeid
        fh = w.fs.open(node, 2)
        for _ in range(MANY):
            synced(w, node, fh)
        equal(count("pool_jobs_total"), MANY, "jobs")
        if without == "polling":
            until("the pool answers nothing itself", lambda: synced(w, node, fh) is not None and
                  count("queue_answered_beside_total", queue="1") > 0)
        else:
            equal(count("queue_answered_beside_total", queue="1"), 0, "answered beside")
        ended(w)


@case("batching: what is ready together is shown one by one")
def batching():
    def lock(kind, owner):
        return struct.pack("<4Q4I", fh, owner, 0, 9, kind, 0, 0, 0)

    for without, shown in ((None, 1), ("batching", MANY)):
        w, count = started(without, "--posix-lock", init=False)
        w.fs.init(flags=LOCKS)
        node = w.fs.lookup("file").nodeid
        fh = w.fs.open(node, 2)
        w.fs.good("SETLK", node, lock(fcntl.F_WRLCK, 1), 16)
        waits = [w.fs.start("SETLKW", node, lock(fcntl.F_WRLCK, 2 + i), 16) for i in range(MANY)]
        w.fs.getattr()  # all of them have been taken
        before = [count(f"queue_batch_{what}", queue="1") for what in ("sum", "count")]
        # The end of the queue is that of all waits.
        w.fe.stop_queue(1)
        equal([w.fs.finish(t).error for t in waits], MANY * [-errno.EINTR], "answers")
        equal([count(f"queue_batch_{what}", queue="1") - n for what, n in
               zip(("sum", "count"), before)], [MANY, shown], f"without {without}: answers, batches")
        w.restart(1)
        ended(w)


@case("pool: no threads; what waits for disks is served by the queue's own")
def pool():
    for without, threads, jobs in ((None, 4, 1), ("pool", 0, 0)):
        w, count = started(without)
        node = w.fs.lookup("file").nodeid
        w.fs.good("FSYNC", node, struct.pack("<QII", w.fs.open(node, 2), 0, 0), 16)
        equal((count("pool_threads"), count("pool_jobs_total")), (threads, jobs),
              f"without {without}: threads and jobs")
        ended(w)


@case("node-descriptors: a node is opened each time, and has no descriptor in between")
def node_descriptors():
    def opened(count):
        return count("node_uses_total", descriptor="opened")

    w, count = started("cold-nodes")
    node = w.fs.lookup("file").nodeid
    for _ in range(MANY):
        w.fs.getattr(node)
    equal((opened(count), count("nodes", descriptor="none")), (0, 0), "opened, and cold")
    ended(w)
    w, count = started("cold-nodes,node-descriptors")
    node = w.fs.lookup("file").nodeid
    # One that is too young to be told from its successor keeps it.
    until("it is kept", lambda: w.fs.getattr(node) and count("nodes", descriptor="none") == 1)
    before = opened(count)
    for _ in range(MANY):
        w.fs.getattr(node)
    until("not all are counted", lambda: opened(count) == before + MANY)
    ended(w)


@case("cold-nodes: what is found is opened at once")
def cold_nodes():
    def found(w, count):
        w.fs.forget(w.fs.lookup("file").nodeid, 1)
        return count("names_total", opened="later")

    w, count = started("cold-nodes")
    equal([found(w, count) for _ in range(MANY)], [0] * MANY, "opened later")
    ended(w)
    w, count = started(None)
    if not births(os.path.join(w.daemon.share, "file")):
        raise Skip("no file has a time of birth here")
    # One that is too young to be told from its successor is opened.
    until("it is opened each time", lambda: found(w, count) > 0)
    w.fs.getattr(w.fs.lookup("file").nodeid)
    until("it is not opened", lambda: count("node_reopens_total", by="name") == 1)
    ended(w)


@case("known-names: what the guest knows is opened each time that it is looked up")
def known_names():
    for without, opened in (("cold-nodes", 1), ("cold-nodes,known-names", MANY)):
        w, count = started(without)
        before = count("names_total", opened="yes")
        nodes = {w.fs.lookup("file").nodeid for _ in range(MANY)}
        equal(len(nodes), 1, "nodes of one name")
        until(f"without {without}: names opened are not {opened}",
              lambda: count("names_total", opened="yes") - before == opened)
        equal(count("names_total", opened="no"), MANY - opened, f"without {without}: not opened")
        ended(w)


@case("open-cache: a file is opened on the host each time, and closed")
def open_cache():
    if os.getuid():
        raise Skip("needs root")
    for without, anew in ((None, 1), ("open-cache", MANY)):
        w, count = started(without)
        node = w.fs.lookup("file").nodeid
        for _ in range(MANY):
            w.fs.release(node, w.fs.open(node, 0))
        until(f"without {without}: not opened {anew} times",
              lambda: count("opens_total", descriptor="opened") == anew)
        equal((count("opens_total", descriptor="kept"), count("spares")),
              (MANY - anew, 0 if without else 1), f"without {without}: kept, and left")
        ended(w)


@case("inside-cache: the host is asked at each request whether a directory is inside")
def inside_cache():
    for without in (None, "inside-cache"):
        w, count = started(without)
        node = w.fs.lookup("dir").nodeid
        looked = [0]

        def believed():
            w.fs.lookup("sub", node)
            looked[0] += 1
            return count("inside_checks_total", asked="no") > 0

        if not without:
            until("it is asked each time", believed)
        else:
            check(not any([believed() for _ in range(MANY)]), "it was not asked")
            until("not all are counted",
                  lambda: count("inside_checks_total", asked="yes") == looked[0])
        ended(w)


@case("file-handles: what has no descriptor is found by name")
def file_handles():
    ways = {}
    for without in ("cold-nodes,node-descriptors", "cold-nodes,node-descriptors,file-handles"):
        w, count = started(without)
        node = w.fs.lookup("file").nodeid
        until("it is not opened again", lambda: w.fs.getattr(node) and
              count("node_uses_total", descriptor="opened") >= MANY)
        ways[without] = [count("node_reopens_total", by=by) > 0 for by in ("handle", "name")]
        ended(w)
    equal(ways["cold-nodes,node-descriptors,file-handles"], [False, True], "by handle, and by name")
    # Privileges, and the file system.
    if ways["cold-nodes,node-descriptors"] == [False, True]:
        raise Skip("nothing has a file handle here")
    equal(ways["cold-nodes,node-descriptors"], [True, False], "by handle, and by name")


@case("credentials: rights are switched for each request, though all are one user's")
def credentials():
    if os.getuid():
        raise Skip("needs root")
    for without in (None, "credentials"):
        w, count = started(without)
        before = count("credentials_total", switched="yes")
        for _ in range(MANY):
            w.fs.fails((-errno.EEXIST, -errno.EACCES), "MKDIR", ROOT,
                       struct.pack("<II", 0o755, 0) + b"dir\0", 144, uid=SOMEBODY)
        switched = count("credentials_total", switched="yes") - before
        check(switched >= MANY if without else switched < MANY / 2,
              f"without {without}: {switched} switches")
        ended(w)


@case("all of them at once")
def everything():
    w, count = started("polling,borrowing,answering,batching,event-idx,pool,cold-nodes,known-names,open-cache,"
                       "node-descriptors,inside-cache,credentials,pins,file-handles")
    node = w.fs.lookup("file").nodeid
    fh = w.fs.open(node, 2)
    w.fs.write(node, fh, 0, b"hello")
    equal(w.fs.read(node, fh, 0, 5), b"hello", "what was written")
    w.fs.release(node, fh)
    w.fs.forget(node)
    w.fs.stale(node)
    until("a forget is not counted", lambda: count("queue_requests_total", queue="0") == 1)
    ended(w)


main()

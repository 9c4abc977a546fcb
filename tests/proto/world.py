# SPDX-License-Identifier: BSD-2-Clause
"""What most cases begin with: a daemon, a front-end on it, an initialized file system."""

import os
import select

from daemon import Daemon
from fuse import Fs, read_in
from harness import HANG, check, until
from ring import WRITE
from vu import F_ALL, P_ALL, Frontend


def fill(root, n):
    """Makes n files in the known directory."""
    for i in range(n):
        with open(os.path.join(root, "dir", f"entry{i:04}"), "w") as f:
            f.write(str(i))


def big_read(fs, node, fh, queue=1):
    """Submits a READ of 1 MiB whose data nobody looks at: one place for each queue."""
    mem, q = fs.fe.mem, fs.fe.queues[queue]
    data = mem.regions[1].gpa + (queue - 1) * (1 << 20)
    readable, unique = fs.frame("READ", node, read_in(fh, 0, 1 << 20))
    places = [(mem.alloc(16), 16), (data, 1 << 20)]
    head = q.submit([(mem.put(readable), len(readable), 0)] + [(*p, WRITE) for p in places])
    return q, head, places, unique


class World:
    """daemon, fe (Frontend) and fs (Fs), with queue 0 and this many request queues running."""

    def __init__(self, *options, requests=1, size=128, features=F_ALL, protocol=P_ALL,
                 init=True, daemon=None, mem=None, front_end=Frontend):
        self.daemon = daemon or Daemon(*options)
        self.fe = front_end(self.daemon.connect(), mem)
        self.fe.up(1 + requests, size, features, protocol)
        self.fs = Fs(self.fe)
        if init:
            self.fs.init()

    def check(self, queues=(1,)):
        """Serves on these queues, connection included."""
        self.daemon.alive()
        for q in queues:
            self.fs.alive(q)
        self.fe.answers()

    def restart(self, index, base=None):
        """Stops a queue and starts it again with empty rings, as a driver that resets it."""
        self.fe.stop_queue(index)
        q = self.fe.queues[index]
        q.reset(base)
        self.fe.start_queue(index, base=base, ring=q)

    def must_break(self, others=(2,)):
        """Queue 1 holds something bad: it breaks, the others serve, a reset mends it."""
        q = self.fe.queues[1]
        q.kick()
        q.wait_error()
        self.check(others)
        self.restart(1)
        self.check((1, *others))

    def breaks_or_serves(self, token=None):
        """Queue 1 holds something that the device may refuse or bear; True if it served."""
        q = self.fe.queues[1]
        q.arm()
        q.kick()
        served = False
        p = select.poll()
        p.register(q.err_fd, select.POLLIN)
        p.register(q.call_fd, select.POLLIN)
        check(q.used_idx() != q.last_used or p.poll(HANG * 1000),
              "hang: neither a call nor VRING_ERR")
        if not q.broken() and token:
            self.fs.finish(token)
            served = True
        self.check((2,))
        self.restart(1)
        self.check((1, 2))
        return served

    def close(self):
        self.fe.close()


class Site:
    """One daemon that outlives its front-ends (--keep-listening), for many short attempts.

    finish() insists that the daemon is as it was before them: same descriptors, threads and
    mappings, and serving.
    """

    STAGES = ("fresh", "negotiated", "memory", "running")

    def __init__(self, *options):
        self.daemon = Daemon("--keep-listening", *options, listen=True)
        World(daemon=self.daemon).close()
        self.daemon.wait_quiet(self.baseline_fds())
        self.fds, self.tasks = self.daemon.fds(), self.daemon.tasks()
        self.lines = len(self.daemon.stderr_lines())

    def baseline_fds(self):
        """The first front-end may have opened things that stay; what is left without one."""
        until("guest memory still mapped after disconnect", lambda: self.daemon.maps() == 0)
        return self.daemon.fds()

    def attempt(self, stage="running", mem=None):
        """A connected front-end that has come this far."""
        self.daemon.alive()
        fe = Frontend(self.daemon.connect(), mem)
        at = self.STAGES.index(stage)
        if at >= 1:
            fe.negotiate()
        if at >= 2:
            fe.set_memory()
        if at >= 3:
            fe.start_queue(0)
            fe.start_queue(1)
            Fs(fe).init()
        return fe

    def finish(self):
        self.daemon.alive()
        self.daemon.wait_quiet(self.fds, self.tasks)
        self.baseline_fds()
        World(daemon=self.daemon).check()

# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=180 builds=plain,asan,tsan
"""A mount's life: begun in the foreground and in the background, refused with the reason, ended by
umount of each kind, by signals, and by kill -9 of either side. Whatever ends it, no process, no
mount and no socket stays, and nobody hangs."""
import errno
import os
import signal
import subprocess
import sys
import threading

import jobs
from guest import Daemon, check, same, wait_for
from mounted import (DAEMON, Mount, asking_threads, asks, command_line, is_mounted, run, stop,
                     wait_gone)

GONE = (errno.ENOTCONN, errno.ECONNABORTED)
# Reads a file without what the page cache may have of it.
READER = ("import os, sys\n"
          "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
          "print('open', flush=True)\n"
          "sys.stdin.readline()\n"
          "try:\n"
          "    os.stat(sys.argv[2])\n"
          "    print('fine', flush=True)\n"
          "except OSError as e:\n"
          "    print(e.errno, flush=True)\n"
          "sys.stdin.read()\n")


def ours():
    """Processes of this test but itself."""
    return [p for p in jobs.processes_of(os.environ["CAUSEWAY_TEST_ID"]) if p != os.getpid()]


def put(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def get(path):
    with open(path, encoding="ascii") as f:
        return f.read()


def error_of(function, *args):
    try:
        function(*args)
    except OSError as e:
        return e.errno
    return 0


class Reader:
    """A process that has a file open, and asks for another when it is told to."""

    def __init__(self, path, other):
        self.process = subprocess.Popen([sys.executable, "-c", READER, path, other],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        same("reader", self.process.stdout.readline(), "open\n")

    def ask(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def blocked(self):
        """Waits until the request is with the back-end: the process sleeps in it."""
        wait_for("request", lambda: asks(self.process.pid))

    def result(self):
        return self.process.stdout.readline().strip()

    def end(self):
        self.process.communicate()


def foreground():
    mount = Mount("share")
    same("file", get(mount.path("file")), "content")
    check(mount.below, "no processes below the mount")
    mount.unmount()
    same("said", mount.text(), "")


def background():
    os.mkdir("back")
    point = os.path.abspath("back")
    same("mounting", run("share", point), (0, ""))
    try:
        same("file", get("back/file"), "content")
        with open("/proc/self/mounts", encoding="ascii") as f:
            line = next(words for words in map(str.split, f) if words[1] == point)
        same("source and type", line[0] + " " + line[2],
             os.path.abspath("share") + " fuse.causeway")
        pids = ours()
        check(len(pids) >= 3, f"processes: {pids}")
    finally:
        subprocess.run(["umount", point], check=True)
    wait_gone(pids)


REFUSED = (
    (("share",), 2, "needs SOCKET or DIR, and MOUNTPOINT"),
    (("nothing", "point"), 1, "nothing: No such file or directory"),
    (("share/file", "point"), 1, "neither a directory nor a back-end's socket"),
    (("dead.sock", "point"), 1, "cannot connect to 'dead.sock': Connection refused"),
    (("share", "nothing"), 1, "nothing: No such file or directory"),
    (("share", "share/file"), 1, "share/file: Not a directory"),
    (("share", "share"), 1, "share lies in share"),
    (("share", "share/below"), 1, "share/below lies in share"),
    (("share", "point", "-o", "ro,wonder"), 2, "no mount option 'wonder'"),
    (("share", "point", "-o", "remount,ro"), 2, "-o remount: options are part of"),
    (("share", "point", "-o", "queues"), 2, "-o queues needs an argument (queues=N)"),
    (("share", "point", "-o", "queues=65"), 2, "-o queues: '65' is no number from 1 to 64"),
    (("share", "point", "-o", "max_read=1"), 2, "-o max_read: '1' is no number from 4096 to"),
    (("share", "point", "-o", "allow_other=yes"), 2, "-o allow_other takes no argument"),
    (("share", "point", "-o", "subtype=a.b"), 2, "-o subtype: 'a.b' has a '.'"),
    (("live.sock", "point", "-o", "daemon=x"), 1, "-o daemon: the socket live.sock has its"),
    (("share", "point", "--wonder"), 2, "no option '--wonder'"),
    (("share", "point", "-o"), 2, "-o needs an argument"),
    (("share", "point", "-o", "daemon=/nothing"), 1, "cannot start '/nothing' to share"),
    (("share", "point", "-o", "daemon=false"), 1, "causewayd ended with status 1"),
    # What the daemon says comes through, also from the background.
    (("share", "point", "-o", "daemon_option=--cache=sometimes"), 1, "sometimes"),
)


def refused():
    import socket
    os.mkdir("point")
    os.mkdir("share/below")
    dead = socket.socket(socket.AF_UNIX)
    dead.bind("dead.sock")
    live = socket.socket(socket.AF_UNIX)
    live.bind("live.sock")
    live.listen()
    for args, status, words in REFUSED:
        for more in ((), ("-f",)):
            got, text = run(*more, *args)
            same(f"{args} {more}: status (it said: {text})", got, status)
            check(words in text, f"{args} {more}: said {text!r}, without {words!r}")
    check(not is_mounted(os.path.abspath("point")), "something is mounted")
    same("processes", ours(), [])
    os.rmdir("share/below")
    os.unlink("dead.sock")


def words():
    """What -o says is what the mount does."""
    mount = Mount("share", "ro", "noexec", "noatime", "nofail", "_netdev", "x-any=thing", "rw",
                  "suid", "fsname=a\\,b", "subtype=other", "max_read=8192", "queues=3",
                  options=("--xattr",))
    with open("/proc/self/mountinfo", encoding="ascii") as f:
        line = next(w for w in map(str.split, f) if w[4] == mount.point)
    at = line.index("-")
    same("flags", set(line[5].split(",")), {"rw", "nodev", "noexec", "noatime"})
    same("type and source", line[at + 1:at + 3], ["fuse.other", "a,b"])
    check("max_read=8192" in line[at + 3], f"options: {line[at + 3]}")
    os.setxattr(mount.path("file"), "user.a", b"b")
    wait_for("three queues", lambda: len(os.listdir(f"/proc/{mount.process.pid}/task")) >= 4)
    same("attribute on the host", os.getxattr("share/file", "user.a"), b"b")
    mount.unmount()
    mount = Mount("share", "ro")
    same("writing", error_of(put, mount.path("file"), "x"), errno.EROFS)
    check("--readonly" in command_line(mount.daemon()), "the daemon is not read-only")
    mount.unmount()


def of_socket():
    daemon = Daemon("share", name="served", program=DAEMON)
    mount = Mount(daemon.socket)
    same("file", get(mount.path("file")), "content")
    mount.unmount()
    same("status of the daemon", daemon.wait(), 0)
    check(not os.path.exists(daemon.socket), "the socket is still there")


def daemon_killed():
    mount = Mount("share", options=("--cache=none",))
    idle, asking = (Reader(mount.path("file"), mount.path(n)) for n in ("one", "two"))
    stop(mount.daemon())
    asking.ask()
    asking.blocked()
    os.kill(mount.daemon(), signal.SIGKILL)
    same("in flight", asking.result(), str(errno.ENOTCONN))
    mount.wait(1)
    check("the back-end has ended the connection; unmounted" in mount.text(),
          f"said: {mount.text()}")
    idle.ask()
    # The path is the mount point's own directory again.
    same("later, by path", idle.result(), str(errno.ENOENT))
    for reader in (idle, asking):
        reader.end()


def mount_killed():
    """Also with requests in flight and a daemon that does not notice."""
    for hangs in (False, True):
        mount = Mount("share", options=("--cache=none",))
        reader = Reader(mount.path("file"), mount.path("one"))
        daemon = mount.daemon()
        if hangs:
            stop(daemon)
            reader.ask()
            reader.blocked()
        mount.process.kill()
        mount.process.wait()
        wait_for("unmount", lambda: not is_mounted(mount.point))
        if hangs:
            check(int(reader.result()) in GONE, "in flight")
            # The kernel may have done it: it is an orphan.
            error_of(os.kill, daemon, signal.SIGCONT)
        wait_gone(mount.below)
        reader.end()


def signals():
    """Even of files that are open, what was written is there."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        mount = Mount("share", options=("--cache=always", "--writeback"))
        fd = os.open(mount.path("written"), os.O_RDWR | os.O_CREAT)
        for i in range(64):
            os.write(fd, bytes([i]) * 65536)
        mount.process.send_signal(number)
        mount.wait()
        check(error_of(os.utime, fd) in GONE, "the file can still be changed")
        error_of(os.close, fd)
        with open("share/written", "rb") as f:
            got = f.read()
        check(got == b"".join(bytes([i]) * 65536 for i in range(64)),
              f"of what was written {len(got)} bytes are there")
        os.unlink("share/written")


def unmounted_lazily():
    mount = Mount("share", options=("--cache=none",))
    with open(mount.path("file"), encoding="ascii") as f:
        subprocess.run(["umount", "-l", mount.point], check=True)
        check(not is_mounted(mount.point), "it is still mounted")
        same("read behind it", f.read(), "content")
        same("ended early", mount.process.poll(), None)
    mount.wait()


def ask_all(mount, count):
    """Threads that each look for a name, and what they got."""
    results = []

    def ask(i):
        results.append(error_of(os.stat, mount.path(f"missing{i}")))
    threads = [threading.Thread(target=ask, args=(i,), daemon=True) for i in range(count)]
    for t in threads:
        t.start()
    return threads, results


def hung(captive, *signals):
    """A daemon that stands still, with more requests than there are slots: umount -f and signals
    end the mount, and free who waits. A second signal says not to wait for the daemon at all."""
    daemon = None if captive else Daemon("share", name="hung", program=DAEMON)
    mount = Mount(os.path.abspath("share") if captive else daemon.socket, "queues=1")
    server = mount.daemon() if captive else daemon.pid
    stop(server)
    threads, results = ask_all(mount, 80)
    wait_for("80 requests", lambda: asking_threads() == 80)
    for number in signals:
        mount.process.send_signal(number)
    if not signals:
        # It is busy, so this may fail: but the connection has ended, and with it the mount.
        subprocess.run(["umount", "-f", mount.point], stderr=subprocess.DEVNULL, check=False)
    for t in threads:
        t.join()
    check(set(results) <= set(GONE), f"results: {set(results)}")
    mount.wait()
    if daemon:
        os.kill(server, signal.SIGCONT)
        same("status of the daemon", daemon.wait(), 0)


def hung_forced():
    hung(True)


def hung_terminated():
    hung(True, signal.SIGTERM)


def hung_terminated_twice():
    hung(False, signal.SIGTERM, signal.SIGINT)


os.mkdir("share")
put("share/file", "content")
for test in (foreground, background, refused, words, of_socket, daemon_killed, mount_killed,
             signals, unmounted_lazily, hung_forced, hung_terminated, hung_terminated_twice):
    print(test.__name__, flush=True)
    test()
    same(f"{test.__name__}: processes left", ours(), [])
same("left on the host", os.listdir("share"), ["file"])

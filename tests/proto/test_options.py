# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain,asan
"""The command line: each mistake is one line on stderr that names it, and status 2."""

import errno
import grp
import os
import re
import resource
import shutil
import socket
import stat
import struct
import subprocess
import tempfile

from daemon import Daemon, binary, environment, make_share, run_options, without_sandbox
from harness import HANG, Skip, add, at_end, case, check, equal, main, tempdir
from world import World

OPTIONS = ("--shared-dir", "--socket-path", "--fd", "--tag", "--cache", "--writeback",
           "--attr-timeout", "--entry-timeout", "--readonly", "--no-readdirplus", "--xattr",
           "--posix-acl", "--xattrmap", "--socket-group", "--allow-mmap",
           "--allow-direct-io", "--announce-submounts", "--no-announce-submounts",
           "--preserve-noatime", "--thread-pool-size",
           "--rlimit-nofile", "--print-capabilities", "--log-level", "--syslog",
           "--keep-listening", "--help", "--version")


def refused(argv, *named):
    """Status 2, nothing on stdout, one line on stderr that holds one of the words."""
    status, out, err = run_options(*argv)
    lines = err.splitlines()
    equal(status, 2, f"status of {argv}, which said {err!r}")
    equal(len(lines), 1, f"lines on stderr {lines}")
    equal(out, "", "stdout")
    check(any(re.search(w, lines[0], re.I) for w in named), f"{lines[0]!r} names none of {named}")


def mistake(make, *named):
    share, tmp = make_share(), tempdir()
    argv = make(share, os.path.join(tmp, "sock"))
    refused(argv, *named)
    check(not os.path.exists(os.path.join(tmp, "sock")), "a socket was left behind")


def both(*extra):
    return lambda share, sock: ["--shared-dir", share, "--socket-path", sock, *extra]


for text, maker, words in (
        ("no option at all", lambda d, s: [], ("shared-dir", "socket", "fd")),
        ("no directory", lambda d, s: ["--socket-path", s], ("shared-dir", "directory")),
        ("no socket", lambda d, s: ["--shared-dir", d], ("socket-path", "fd")),
        ("a directory that is missing", lambda d, s: ["--shared-dir", d + "/none",
                                                     "--socket-path", s], ("none",)),
        ("a file as the directory", lambda d, s: ["--shared-dir", d + "/file",
                                                 "--socket-path", s], ("file",)),
        ("an empty directory name", lambda d, s: ["--shared-dir", "", "--socket-path", s],
         ("shared-dir", "directory")),
        ("a socket in a missing directory", lambda d, s: ["--shared-dir", d, "--socket-path",
                                                         s + "/x/y"], ("sock",)),
        ("a socket path that is too long", lambda d, s: ["--shared-dir", d, "--socket-path",
                                                        "/tmp/" + "s" * 200], ("long", "sss")),
        ("an empty socket path", lambda d, s: ["--shared-dir", d, "--socket-path", ""],
         ("socket",)),
        ("both a socket and a descriptor", both("--fd", "3"), ("fd", "socket-path")),
        ("an unknown option", both("--bogus"), ("bogus",)),
        ("an unknown short option", both("-Q"), ("Q",)),
        ("an argument that is no option", both("stray"), ("stray",)),
        ("an option without its value", both("--tag"), ("tag",)),
        ("a value that is not taken", both("--readonly=yes"), ("readonly",)),
        ("an unknown cache mode", both("--cache", "sometimes"), ("sometimes", "cache")),
        ("an empty cache mode", both("--cache", ""), ("cache",)),
        ("an unknown log level", both("--log-level", "loud"), ("loud", "log-level")),
        ("a tag that is too long", both("--tag", "t" * 37), ("tag",)),
        ("an empty tag", both("--tag", ""), ("tag",)),
        ("a timeout that is no number", both("--attr-timeout", "soon"), ("soon", "attr-timeout")),
        ("a negative timeout", both("--entry-timeout", "-1"), ("-1", "entry-timeout")),
        ("a timeout with a tail", both("--attr-timeout", "1x"), ("1x", "attr-timeout")),
        ("a timeout that is nan", both("--attr-timeout", "nan"), ("nan", "attr-timeout")),
        ("an empty timeout", both("--attr-timeout", ""), ("attr-timeout",)),
        ("a descriptor that is no number", lambda d, s: ["--shared-dir", d, "--fd", "x"],
         ("fd", "x")),
        ("a descriptor that is negative", lambda d, s: ["--shared-dir", d, "--fd", "-1"],
         ("fd", "-1")),
        ("a descriptor that is not open", lambda d, s: ["--shared-dir", d, "--fd", "77"],
         ("fd", "77")),
        ("a descriptor that is no socket", lambda d, s: ["--shared-dir", d, "--fd", "0"],
         ("fd", "socket"))):
    add(f"refused: {text}", mistake, maker, *words)


@case("refused: a socket that is in use, which then still serves its owner")
def in_use():
    share, path = make_share(), os.path.join(tempdir(), "sock")
    owner = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    at_end(owner.close)
    owner.bind(path)
    owner.listen(4)
    refused(["--shared-dir", share, "--socket-path", path], "sock", "use")
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    at_end(probe.close)
    probe.connect(path)


@case("refused: the socket of a daemon that still waits, which then serves, again and again")
def in_use_by_daemon():
    d = Daemon(listen=True)
    for _ in range(4):
        refused(["--shared-dir", make_share(), "--socket-path", d.path], "in use")
    w = World(daemon=d)
    w.check()
    for _ in range(4):
        refused(["--shared-dir", make_share(), "--socket-path", d.path], "in use")
    w.check()
    w.close()
    d.wait((0,))


@case("refused: a file that is no socket, which is left alone")
def no_socket():
    share, path = make_share(), os.path.join(tempdir(), "sock")
    with open(path, "w") as f:
        f.write("precious")
    refused(["--shared-dir", share, "--socket-path", path], "sock")
    with open(path) as f:
        equal(f.read(), "precious")


@case("--help lists every option, on stdout, status 0")
def help_():
    status, out, err = run_options("--help")
    equal((status, err), (0, ""), "status and stderr")
    for option in OPTIONS:
        check(option in out, option, "is missing in --help")
    check(all(len(line) <= 100 for line in out.splitlines()), "a line of --help is too long")


@case("-h and -V are --help and --version")
def short():
    for letter, word in (("-h", "--help"), ("-V", "--version"), ("-fV", "--version")):
        equal(run_options(letter), run_options(word), letter)


@case("--version is one line, status 0")
def version():
    status, out, err = run_options("--version")
    equal((status, err), (0, ""), "status and stderr")
    check(re.fullmatch(r"causewayd \d+\.\d+(\.\d+)?\S*\n", out), repr(out))


@case("--socket-group lets a group connect, and without it nobody else")
def socket_group():
    if os.getuid() != 0:
        raise Skip("needs root")
    last = max(grp.getgrall(), key=lambda g: g.gr_gid)
    for options, mode, gid in (((), 0o600, os.getgid()),
                               (("--socket-group", last.gr_name), 0o660, last.gr_gid)):
        share, path = make_share(), os.path.join(tempdir(), "sock")
        proc = subprocess.Popen([binary(), *without_sandbox(), "--shared-dir", share,
                                 "--socket-path", path, *options],
                                stderr=subprocess.PIPE, env=environment())
        at_end(proc.wait)
        at_end(proc.stderr.close)
        at_end(proc.terminate)
        line = proc.stderr.readline()
        while line and b"listening" not in line:
            line = proc.stderr.readline()
        st = os.stat(path)
        check(stat.S_ISSOCK(st.st_mode), "no socket")
        equal((stat.S_IMODE(st.st_mode) & 0o666, st.st_gid), (mode, gid), "mode and group")
    mistake(both("--socket-group", "no-such-group"), "no-such-group")


@case("--rlimit-nofile sets the limit; 0 leaves it")
def rlimit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for value, want in (("300", (300, 300)), ("0", (soft, hard))):
        w = World("--rlimit-nofile", value)
        equal(resource.prlimit(w.daemon.pid, resource.RLIMIT_NOFILE), want, "limits")
        w.close()
        w.daemon.wait((0,))
    w = World()
    equal(resource.prlimit(w.daemon.pid, resource.RLIMIT_NOFILE), (hard, hard), "limits")
    w.close()
    w.daemon.wait((0,))


@case("--preserve-noatime: what the host refuses is refused, else opened without")
def noatime():
    if os.getuid() != 0:
        raise Skip("needs root")
    for options, want in (((), 0), (("--preserve-noatime",), -errno.EPERM)):
        # $TMPDIR need not be open to others.
        share = tempfile.mkdtemp(prefix="cw-proto-", dir="/tmp")
        at_end(shutil.rmtree, share)
        os.chmod(share, 0o755)
        with open(os.path.join(share, "file"), "w") as f:
            f.write("root's\n")
        try:
            daemon = Daemon(*options, share=share, user=65534)
        except PermissionError:
            raise Skip("the build is out of an ordinary user's reach") from None
        w = World(daemon=daemon)
        node = w.fs.lookup("file").nodeid
        r = w.fs.call("OPEN", node, struct.pack("<II", os.O_NOATIME, 0))
        equal(r.error, want, "error of OPEN")
        w.close()
        daemon.wait((0,))


def own_dev(script, *argv):
    """Arguments that run a command with a /dev of its own, which the script has filled."""
    if os.getuid() != 0 or subprocess.run(["unshare", "--mount", "true"], check=False,
                                          stderr=subprocess.DEVNULL).returncode:
        raise Skip("needs root that may mount")
    return ["unshare", "--mount", "sh", "-ec",
            f'mount -t tmpfs none /dev; {script}; exec "$@"', "sh", *argv]


@case("--syslog: lines go to the system's log with their severities, and none to stderr")
def syslog():
    tmp, share = tempdir(), make_share()
    path, log = os.path.join(tmp, "log"), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    at_end(log.close)
    log.bind(path)
    log.settimeout(HANG)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    at_end(ours.close)
    fd = str(theirs.fileno())
    proc = subprocess.Popen(own_dev(f"ln -s {path} /dev/log", binary(), *without_sandbox(),
                                    "--shared-dir", share, "--fd", fd, "--syslog", "--thread-pool-size", "2"),
                            pass_fds=[theirs.fileno()], env=environment(),
                            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    theirs.close()
    at_end(proc.stderr.close)
    at_end(proc.kill)
    ours.send(b"\xff" * 12)  # a header of a message that there is not
    lines = []
    while not lines or "front-end disconnected" not in lines[-1]:
        lines.append(log.recv(4096).decode())
    equal(proc.wait(HANG), 1, "status")
    equal(proc.stderr.read(), b"", "stderr")
    forms = [re.fullmatch(r"<(\d+)>.* causewayd\[(\d+)\]: (.+?)\n?\0?", line) for line in lines]
    check(all(forms), "lines", lines)
    check(all(int(m.group(2)) == proc.pid for m in forms), "lines", lines)
    said = {m.group(3): int(m.group(1)) for m in forms}
    equal(said.get("front-end connected"), 3 << 3 | 6, f"facility daemon, info, in {lines}")
    check(3 << 3 | 3 in said.values(), "no error in", lines)


@case("--syslog: refused where no system log listens; what stops the start is on stderr too")
def syslog_start():
    tmp = tempdir()
    path, log = os.path.join(tmp, "log"), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    at_end(log.close)
    log.bind(path)
    log.settimeout(HANG)
    argv = [binary(), "--shared-dir", tmp + "/none", "--socket-path", tmp + "/sock", "--syslog"]
    for script, word in ((":", b"--syslog"), (f"ln -s {path} /dev/log", b"/none")):
        done = subprocess.run(own_dev(script, *argv), env=environment(), check=False,
                              capture_output=True)
        equal(done.returncode, 2, f"status, having said {done.stderr}")
        equal(done.stderr.count(b"\n"), 1, "lines on stderr")
        check(word in done.stderr, done.stderr)
    check(b"/none" in log.recv(4096), "what the log got")


@case("every honest value is taken")
def honest():
    for options in (("--cache", "none"), ("--cache", "never"), ("--cache=auto",),
                    ("--cache", "always"), ("--cache", "metadata"), ("--writeback",),
                    ("--cache", "always", "--writeback"), ("--attr-timeout", "0"),
                    ("--attr-timeout", "2.5"), ("--entry-timeout", "86400"), ("--tag", "t" * 36),
                    ("--no-readdirplus",), ("--log-level", "error"), ("--allow-mmap",),
                    ("--allow-direct-io",), ("-o", "allow_direct_io"), ("--no-announce-submounts",), ("--announce-submounts",),
                    ("-o", "cache=none,no_posix_lock"), ("-f", "-d"), ("--thread-pool-size", "4"), ("--log-level", "debug"),
                    ("--log-level", "off")):
        w = World(*options)
        w.check()
        w.close()
        w.daemon.wait((0,))


@case("--log-level off says nothing, even about a bad message")
def quiet():
    w = World("--log-level", "off")
    w.fe.send(2, b"bad")
    w.fe.expect_closed()
    w.daemon.wait((0, 1))
    equal(w.daemon.stderr(), b"")


main()

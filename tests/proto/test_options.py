# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain,asan
"""The command line: each mistake is one line on stderr that names it, and status 2."""

import os
import re
import socket

from daemon import make_share, run_options
from harness import add, at_end, case, check, equal, main, tempdir
from world import World

OPTIONS = ("--shared-dir", "--socket-path", "--fd", "--tag", "--cache", "--writeback",
           "--attr-timeout", "--entry-timeout", "--readonly", "--no-readdirplus", "--xattr", "--posix-acl", "--xattrmap",
           "--log-level",
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


@case("--version is one line, status 0")
def version():
    status, out, err = run_options("--version")
    equal((status, err), (0, ""), "status and stderr")
    check(re.fullmatch(r"causewayd \d+\.\d+(\.\d+)?\S*\n", out), repr(out))


@case("every honest value is taken")
def honest():
    for options in (("--cache", "none"), ("--cache", "never"), ("--cache=auto",),
                    ("--cache", "always"), ("--cache", "metadata"), ("--writeback",),
                    ("--cache", "always", "--writeback"), ("--attr-timeout", "0"),
                    ("--attr-timeout", "2.5"), ("--entry-timeout", "86400"), ("--tag", "t" * 36),
                    ("--no-readdirplus",), ("--log-level", "error"), ("--log-level", "debug"),
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

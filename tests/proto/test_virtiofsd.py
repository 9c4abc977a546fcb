# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain full timeout=300
"""The command line of virtiofsd 1.14 itself: that tests/lib/virtiofsd.py has all of its options, and
that it and causewayd accept and refuse the same, but for what is explained here."""

import os
import re
import socket
import subprocess

import virtiofsd
from daemon import binary, environment
from harness import HANG, Failure, Skip, add, among, at_end, case, check, equal, main, tempdir, until

SETUP = os.path.join(os.environ["CAUSEWAY_SRC"], "tools/setup")
MIGRATION = "there is no migration here"

# Command lines that one refuses → (which one accepts them, why).
EXPLAINED = {
    **{form: ("there", MIGRATION) for option in virtiofsd.OPTIONS if option.startswith("--migration")
       for form in virtiofsd.forms(option)},
    "--cache=none": ("here", "one name in both forms"),
    "-o cache=never": ("here", "one name in both forms"),
    "--inode-file-handles never": ("here", "every value may be an argument of its own"),
    "-o flock": ("here", "these locks are served"),
    "-o posix_lock": ("here", "these locks are served"),
    "-o timeout=1": ("here", "QEMU's C daemon had it"),
    "--xattrmap=:ok:all:x::": ("there", "it finds that no rule is left for other names only when it "
                               "starts to serve, and panics"),
    "-o readonly": ("here", "every option is a word"),
    "-o tag=x": ("here", "every option is a word"),
}

# Words whose options another change brings.
# Besides the good forms of every option and word.
LINES = (
    "--cache=none", "--cache=some", "--cache=", "--sandbox=maybe", "--seccomp=maybe",
    "--log-level=loud", "--log-level=", "--inode-file-handles=often", "--inode-file-handles never",
    "--posix-acl=perhaps", "--security-label=perhaps", "--xattrmap=bad", "--xattrmap=:ok:all:x::",
    "--thread-pool-size=-1", "--thread-pool-size=many", "--rlimit-nofile=many",
    "--rlimit-nofile=-1", "--tag=", "--tag=" + "t" * 37, "--uid-map=x", "--uid-map=:0:0:",
    "--gid-map=:0:0:x:", "--translate-uid=map:0:1", "--translate-uid=all:0:0:1",
    "--translate-gid=x", "--socket-path=sock", "--nonsense", "--readonly=1", "more", "-o", "-x",
    "-o nonsense", "-o cache=some", "-o cache=never", "-o flock", "-o posix_lock", "-o timeout=1",
    "-o readonly", "-o tag=x", "--writeback --readonly", "--killpriv-v2 --no-killpriv-v2",
    "--announce-submounts --no-announce-submounts", "-d", "-f", "-d -f",
)


def program():
    done = subprocess.run([SETUP, "--path", "virtiofsd-sid"], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise Skip("tools/setup can't get virtiofsd-sid")
    return done.stdout.split()[0]


@case("the list of options and words is that of the program's --help")
def listed():
    text = subprocess.run([program(), "--help"], stdout=subprocess.PIPE, text=True,
                          check=True).stdout
    check(re.search(r"virtiofsd 1\.14\.", subprocess.run(
        [program(), "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout), "version")
    found = re.findall(r"^ +(?:(-\w)(?:, | <|$))?(--[a-z0-9-]+)?", text, re.M)
    equal({long for _, long in found if long}, set(virtiofsd.OPTIONS), "long options")
    equal({short for short, _ in found if short}, set(virtiofsd.SHORT), "short options")
    for option, values in virtiofsd.OPTIONS.items():
        for value in values if len(values) > 2 else ():
            check(value is None or value.split(":")[0] in text, option, "knows no", value)


def accepts(argv, share):
    """Whether a command line is understood: what then stops the start is that descriptor 0 is no
    socket, which both find out last."""
    sock = [] if "--socket-path" in argv[-1] else ["--fd=0"]
    if argv[-1].startswith(("--fd", "--socket=")):
        sock = []
    source = [] if any(a.startswith(("--shared-dir", "source=")) for a in argv) else [
        f"--shared-dir={share}"]
    try:
        done = subprocess.run([argv[0], *source, *sock, *argv[1:]], stdin=subprocess.DEVNULL,
                              capture_output=True, env=environment(), timeout=HANG, check=False,
                              cwd=share)
    except subprocess.TimeoutExpired:
        raise Failure(f"{argv} serves") from None
    return done.returncode, done.stderr.decode(errors="replace")


def compare(line):
    share = tempdir()
    os.mkdir(os.path.join(share, "x"))
    words = line.split(" ")
    if words[0].startswith(("--socket=", "--socket-path=")):
        raise Skip("compared where it serves")
    if words[0] in ("--help", "--version", "--print-capabilities", "--syslog"):
        raise Skip("compared by test_options.py")
    theirs, ours = (accepts([p, *words], share) for p in (program(), binary()))
    # Here all is 2, and what is refused late names the descriptor; there 2 is the command line.
    there = theirs[0] != 2
    here = "descriptor 0 is no" in ours[1] or ours[0] == 0
    print(f"      {line}: there {theirs[0]}, here {ours[1].strip()[-100:]}")
    if line in EXPLAINED:
        equal(("there" if there else "") + ("here" if here else ""), EXPLAINED[line][0], line)
    else:
        equal(here, there, f"{line} is accepted ({theirs[1].strip()}; {ours[1].strip()})")


@case("the socket: its owner's alone, gone with the front-end; not to be had while it is in use")
def socket_path():
    for path in (program(), binary()):
        where, share = os.path.join(tempdir(), "sock"), tempdir()
        argv = [path, "--shared-dir", share, "--socket-path", where, "--log-level=error"]
        proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL, env=environment())
        at_end(proc.wait)
        at_end(proc.terminate)
        until("socket", lambda: os.path.exists(where) or proc.poll() is not None)
        equal(os.stat(where).st_mode & 0o077, 0, "mode for others")
        again = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        check(again.returncode in (1, 2), "a second daemon has the same socket", again)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.connect(where)
            s.send(b"\x0f" + bytes(11))  # GET_PROTOCOL_FEATURES of version 0: wrong
        among(proc.wait(HANG), (0, 1), path, "ended with")
    # virtiofsd leaves its socket behind unless the front-end just goes.
    check(not os.path.exists(where), path, "leaves its socket behind")


def lines():
    for option in virtiofsd.OPTIONS:
        yield from virtiofsd.forms(option)
    for word in virtiofsd.WORDS:
        yield f"-o {word}"
    yield from LINES


for text in dict.fromkeys(lines()):
    add(text, compare, text)
main()

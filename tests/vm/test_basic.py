# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain full-builds=tsan timeout=600
"""The two commands as a user types them: ./run and `causeway vm`, their exit status, streams and
signals, and that nothing stays behind. Under the sanitizers this is the daemon's run in a VM."""
import glob
import os
import signal
import socket
import subprocess
import time

from guest import BOOT_SECONDS, CAUSEWAY, END_SECONDS, SRC, check, host, same

LIMIT = BOOT_SECONDS + END_SECONDS


def causeway(*args, stdin=b"", program=None, env=(), cwd=None):
    """(status, stdout, stderr) of `causeway vm ARGS`."""
    argv = program or [CAUSEWAY, "vm"]
    done = subprocess.run([*argv, *args], input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=LIMIT, check=False,
                          env={**os.environ, **dict(env)}, cwd=cwd)
    return done.returncode, done.stdout, done.stderr


def run_command():
    """The sentence of the README, through ./run."""
    os.mkdir("shared")
    with open("shared/there", "w", encoding="utf-8") as f:
        f.write("before\n")
    status, out, err = causeway("shared", "--", "sh", "-c", "ls -la && echo hi > f && cat f",
                                program=[os.path.join(SRC, "run")])
    check(status == 0, f"./run: {status}\n{out}\n{err}")
    lines = out.decode().splitlines()
    check(any(line.endswith(" there") for line in lines), f"no listing: {lines}")
    same("last line", lines[-1], "hi")
    same("f on the host", host("cat shared/f"), "hi\n")


def run_more():
    """./run passes a status on, runs the command in DIR whatever else is shared, shares the
    current directory by itself, and refuses what it can't do."""
    run = [os.path.join(SRC, "run")]
    os.mkdir("also")
    status, out, err = causeway("--share", "also:also", "shared", "--", "sh", "-c",
                                "pwd; ls; exit 7", program=run)
    same(f"./run with another share ({err})", (status, out.decode().split()),
         (7, ["/mnt/share", "f", "there"]))
    status, out, err = causeway("--", "cat", "there", program=run, cwd="shared")
    same(f"./run in a directory ({err})", (status, out), (0, b"before\n"))
    for args in (("/no/such/directory",), ("shared", "also"), ("shared", "--cache")):
        status, out, err = causeway(*args, program=run)
        check(status == 2 and not out and len(err.splitlines()) == 1, f"{args}: {status} {err}")


def exit_status():
    for command, want in (("exit 7", 7), ("kill -TERM $$", 128 + signal.SIGTERM), ("true", 0)):
        status, out, err = causeway("--share", "shared:s", "--", "sh", "-c", command)
        check(status == want, f"{command}: {status}, not {want}\n{out}\n{err}")
    status, _, _ = causeway("--share", "shared:s", "--", "/no/such/program")
    same("status of a missing program", status, 127)


def streams():
    """Bytes pass both ways unchanged, and the two outputs stay apart."""
    data = os.urandom(300_000)
    status, out, err = causeway(
        "--share", "shared:s", "--", "sh", "-c",
        'cat > /mnt/s/copy; cat /mnt/s/copy; echo "to the other: $1" >&2', "x", "a  'b\"\n$c",
        stdin=data)
    check(status == 0, f"status {status}: {err}")
    check(out == data, f"{len(out)} bytes came back, {len(data)} were sent")
    check(b"to the other: a  'b\"\n$c\n" in err, f"standard error is {err}")
    with open("shared/copy", "rb") as f:
        check(f.read() == data, "the copy on the host differs")


def several_shares():
    os.mkdir("second")
    status, out, err = causeway(
        "--share", "shared:s:fstype=virtiofs,dax=never", "--share", "second:other:ro",
        "--root", "minimal", "--", "sh", "-c",
        "grep -q '^s /mnt/s virtiofs rw,.*dax=never' /proc/mounts || echo no options; "
        "cat /mnt/s/there; echo x > /mnt/s/new; echo x > /mnt/other/new || echo refused")
    check(status == 0, f"status {status}: {out} {err}")
    same("output", out.decode().splitlines(), ["before", "refused"])
    same("on the host", os.listdir("second"), [])
    same("new", host("cat shared/new"), "x\n")


def heed_interrupts():
    """A test that was started in the background has inherited that SIGINT is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def started(*args):
    """A running command that has said `ready`."""
    process = subprocess.Popen([CAUSEWAY, "vm", "--share", "shared:s", "--", *args],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               preexec_fn=heed_interrupts)
    line = process.stdout.readline()
    same("first line", line, b"ready\n")
    return process


def signals():
    """A signal reaches the command; its answer is the exit status."""
    process = started("sh", "-c", "trap 'echo caught; exit 9' INT; echo ready; "
                                  "while :; do sleep 0.1; done")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=END_SECONDS)
    same("output and status", (out, process.returncode), (b"caught\n", 9))
    process = started("sh", "-c", "echo ready; exec sleep 1000")
    start = time.monotonic()
    process.terminate()
    process.wait(END_SECONDS)
    check(process.returncode in (-signal.SIGTERM, 128 + signal.SIGTERM),
          f"status after SIGTERM is {process.returncode}")
    print(f"ended after {time.monotonic() - start:.1f} s")
    process.stdout.close()
    process.stdin.close()


def complaints():
    """What can't work is said in one line that names it."""
    share = ("--share", "shared:s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    for words, *args in (("/no/such/directory", "--share", "/no/such/directory:s", "--", "true"),
                         ("sometimes", *share, "--cache", "sometimes", "--", "true"),
                         ("/no/kernel", *share, "--kernel", "/no/kernel", "--", "true"),
                         ("/no/qemu", *share, "--qemu", "/no/qemu", "--", "true"),
                         ("power of two", *share, "--dax", "3M", "--", "true"),
                         ("needs QEMU 11.1", *share, "--dax", "1G", "--qemu", "/bin/true", "--",
                          "true"),
                         ("DAX windows", *share, "--dax", "1G", "--memory", "256M", "--", "true"),
                         ("/no/module", *share, "--module", "/no/module", "--", "true"),
                         ("is no kernel module", *share, "--module", "/bin/true", "--", "true"),
                         ("r0", "--share", "shared:s:r0", "--", "true"),
                         ("option of 's' is empty", "--share", "shared:s:ro,", "--", "true"),
                         ("needs PATH:TAG", "--socket", "socket", "--", "true"),
                         ("no socket", "--socket", "shared:s", "--", "true"),
                         ("no driver", "--share", "shared:s:fstype=nothing", "--", "true"),
                         ("not enough memory", *share, "--memory", "9000G", "--", "true"),
                         ("--no-such-option", "--no-such-option")):
        status, out, err = causeway(*args)
        check(status != 0 and not out, f"{args}: {status} {out}")
        lines = err.decode().strip().splitlines()
        check(1 <= len(lines) <= 3 and words in lines[0], f"{args}: {err}")


def what_to_install():
    """Without QEMU, one with windows, or without a kernel, it says where to get it."""
    os.mkdir("empty")
    here = {"CAUSEWAY_CACHE": os.path.abspath("empty")}
    status, out, err = causeway("--dax", "1G", "--share", "shared:s", "--", "true",
                                env={**here, "PATH": os.path.abspath("empty")})
    check(status == 125 and not out and b"tools/setup qemu-sid" in err, f"{err}")
    status, out, err = causeway("--", "true", env={"PATH": os.path.abspath("empty")})
    check(status == 125 and not out and b"apt-get install qemu-system-x86" in err, f"{err}")
    if not glob.glob("/boot/vmlinuz-*"):
        status, out, err = causeway("--", "true", env=here)
        check(status == 125 and not out and b"tools/setup kernel-6.1" in err, f"{err}")


for test in (run_command, run_more, exit_status, streams, several_shares, signals, complaints,
             what_to_install):
    print(test.__name__, flush=True)
    test()

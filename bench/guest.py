#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""causewayd beside QEMU's C virtiofsd, in one guest.

    bench/guest.py [--build DIR] [--rounds N] [--dir DIR] [--markdown]

One guest mounts a share of each daemon and runs bench/workload.py, which does each operation on one
share and at once on the other, in an order that changes with every round; so what the machine does
besides hits both alike. Prints, for each operation, medians over the rounds: time in the guest, the
server's CPU time (of all its threads), and the median of the rounds' ratios to QEMU's C daemon.
"""
import argparse
import glob
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PEER = "/usr/lib/qemu/virtiofsd"


def servers(build):
    """Name → command line for a directory and a socket."""
    ours = os.path.join(build, "src/daemon/causewayd")
    found = {"causewayd": lambda d, s: [ours, "--shared-dir", d, "--socket-path", s,
                                        "--log-level", "warn"]}
    if os.access(PEER, os.X_OK):
        found["QEMU C"] = lambda d, s: [PEER, f"--socket-path={s}", "-o", f"source={d}",
                                        "-o", "cache=auto", "-o", "sandbox=chroot"]
    return found


def wait_for_socket(path, child):
    """Watches until the daemon has made its socket; it is short."""
    import select
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init()
    libc.inotify_add_watch(fd, os.path.dirname(path).encode(), 0x100)
    while not os.path.exists(path):
        if child.poll() is not None:
            sys.exit(f"the daemon ended: {child.args}")
        select.select([fd], [], [], 1)
    os.close(fd)


def children(pid):
    """A daemon and the processes that it forked."""
    pids = [pid]
    for path in glob.glob(f"/proc/{pid}/task/*/children"):
        with open(path) as f:
            for child in f.read().split():
                pids += children(int(child))
    return pids


def cpu_seconds(pid):
    total = 0
    for p in children(pid):
        for path in glob.glob(f"/proc/{p}/task/*/schedstat"):
            try:
                with open(path) as f:
                    total += int(f.read().split()[0])
            except OSError:
                pass
    return total / 1e9


def start(command, directory):
    """A daemon on a directory of its own: its process, socket, and what to remove after it."""
    work = tempfile.mkdtemp(prefix="bench", dir=directory)
    private = tempfile.mkdtemp(prefix="cw")
    sock = os.path.join(private, "s")
    daemon = subprocess.Popen(command(work, sock), stderr=subprocess.DEVNULL)
    wait_for_socket(sock, daemon)
    return daemon, sock, (work, private)


def run_guest(causeway, rounds, daemons):
    """Yields (server, operation, guest µs, server CPU µs), both for one of the operation."""
    argv = [causeway, "vm"]
    for i, (daemon, sock, _) in enumerate(daemons.values()):
        argv += ["--socket", f"{sock}:{i}"]
    with open(os.path.join(HERE, "workload.py")) as f:
        argv += ["--", "/usr/bin/python3", "-u", "-c", f.read(), str(rounds), str(len(daemons))]
    vm = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    names = list(daemons)
    before = 0
    for line in vm.stdout:
        word, _, rest = line.rstrip("\n").partition("\t")
        name = names[int(rest.split("\t")[0])]
        pid = daemons[name][0].pid
        if word == "begin":
            before = cpu_seconds(pid)
        elif word == "end":
            _, operation, count, seconds = rest.split("\t")
            cpu = cpu_seconds(pid) - before
            yield name, operation, float(seconds) / int(count) * 1e6, cpu / int(count) * 1e6
        vm.stdin.write("\n")
        vm.stdin.flush()
    if vm.wait() != 0:
        sys.exit(f"the guest ended with status {vm.returncode}")


def measure(build, rounds, directory):
    """Server → operation → a (guest µs, server CPU µs) for each round."""
    causeway = os.path.join(build, "tools/causeway")
    # The first guest of a machine may have to find out that KVM does not run it.
    subprocess.run([causeway, "vm", "--", "true"], check=True)
    results = {}
    daemons = {}
    try:
        for name, command in servers(build).items():
            daemons[name] = start(command, directory)
        for name, operation, guest, cpu in run_guest(causeway, rounds, daemons):
            results.setdefault(name, {}).setdefault(operation, []).append((guest, cpu))
    finally:
        for daemon, _, trees in daemons.values():
            daemon.terminate()
            daemon.wait()
            for tree in trees:
                shutil.rmtree(tree)
    return results


def ratio(samples, base, i):
    return statistics.median(s[i] / b[i] for s, b in zip(samples, base))


def report(results, markdown):
    base = results.get("QEMU C")
    lines = [["operation", "server", "guest µs", "(range)", "ratio", "server CPU µs", "ratio"]]
    if markdown:
        lines.append(["---"] * len(lines[0]))
    for op in next(iter(results.values())):
        for server, by_op in results.items():
            s = by_op[op]
            cells = [op, server]
            for i in (0, 1):
                values = sorted(x[i] for x in s)
                cells.append(f"{statistics.median(values):.1f}")
                if i == 0:
                    cells.append(f"{values[0]:.0f}–{values[-1]:.0f}")
                cells.append(f"{ratio(s, base[op], i):.2f}" if base else "-")
            lines.append(cells)
    if markdown:
        print("\n".join("| " + " | ".join(c) + " |" for c in lines))
        return
    for c in lines:
        print(f"{c[0]:<26}{c[1]:<12}{c[2]:>10} {c[3]:>18}{c[4]:>8}{c[5]:>15}{c[6]:>8}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default=os.path.join(HERE, "../build"))
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--dir", default="/dev/shm", help="where the shares are made")
    parser.add_argument("--markdown", action="store_true")
    args = parser.parse_args()
    report(measure(args.build, args.rounds, args.dir), args.markdown)


main()

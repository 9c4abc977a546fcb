# SPDX-License-Identifier: BSD-2-Clause
# check: full timeout=1200 jobs=2
"""Two guests and the host work on one directory for some time: processes make, rename, link, read,
list and remove in the same names. Errors are expected, wrong content, kernel complaints, and what
is left behind are not."""
import os
import subprocess
import sys
import time

from guest import Daemon, Guest, check, fast_qemu, same, warnings_of

SECONDS = 60
# A worker's shell loop: it picks names by chance, and every file's content is its own checksum.
WORKER = r"""
cd DIR || exit 1
i=0; bad=0
while [ $(date +%s) -lt END ]; do
    i=$((i + 1)); r=$(od -An -N2 -tu2 /dev/urandom); n=$((r % 40)); m=$((r / 64 % 40))
    case $((r / 7 % 8)) in
    0) head -c $((r % 9000)) /dev/urandom > .tNAME && sum=$(cksum < .tNAME | cut -d' ' -f1) &&
       mv .tNAME f$n.$sum 2>/dev/null ;;
    1) for f in f$n.*; do [ -e "$f" ] || continue
           s=$(cksum < "$f" 2>/dev/null | cut -d' ' -f1)
           [ -z "$s" ] || [ "$s" = "${f#*.}" ] || { bad=$((bad + 1)); echo "bad $f: $s"; }
       done ;;
    2) rm -f f$n.* 2>/dev/null ;;
    3) mkdir -p d$n/e$m 2>/dev/null ;;
    4) rm -rf d$n 2>/dev/null ;;
    5) ls -lR . >/dev/null 2>&1 ;;
    6) for f in f$n.*; do ln "$f" d$m/ 2>/dev/null; break; done ;;
    7) mv d$n d$m 2>/dev/null ;;
    esac
done
rm -f .tNAME
echo "rounds $i bad $bad"
"""


def worker(name, directory, end):
    """The script as a file, which guests see too: their root is the host's."""
    path = os.path.abspath(name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(WORKER.replace("DIR", directory).replace("END", str(end))
                .replace("NAME", name))
    return path


os.mkdir("shared")
modes = (("--cache", "auto"), ("--cache", "none"))
daemons = [Daemon("shared", *m) for m in modes]
guests = [Guest(*fast_qemu(), "--socket", f"{d.socket}:s", "--cpus", "2") for d in daemons]
end = int(time.time()) + SECONDS
for n, g in enumerate(guests):
    for w in (1, 2):
        script = worker(f"guest{n}-{w}", "/mnt/s", end)
        g.send(f"sh {script} >/tmp/w{w} 2>&1 </dev/null &\n")
host = subprocess.Popen(["sh", worker("on-host", os.path.abspath("shared"), end)],
                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
texts = [g.run("wait; cat /tmp/w1 /tmp/w2", SECONDS + 200) for g in guests]
texts.append(host.communicate(timeout=120)[0])
for who, text in zip(("auto", "none", "host"), texts):
    print(who, text[-500:])
    check("rounds" in text and "rounds 0" not in text, f"{who}: no rounds")
# In auto mode a name may stay valid for a second after another took it away; in none never.
check(not any("bad " in line and not line.startswith("rounds") for t in texts
              for line in t.splitlines()), "files with the content of others")
guests[0].run("sleep 1.2; rm -rf /mnt/s/* /mnt/s/.t*", 200)
same("left on the host", os.listdir("shared"), [])
same("kernel warnings", [w for g in guests for w in warnings_of(g)], [])
same("status", [g.close() for g in guests] + [d.wait() for d in daemons], [0] * 4)
sys.exit(0)

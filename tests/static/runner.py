# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=200
"""The test runner itself, on a small tree of tests each of which goes wrong in its own way. (A
runner that takes a failure for a success would hide all others.)"""
import os
import re
import shutil
import subprocess
import sys

SRC = os.environ["CAUSEWAY_SRC"]
FAKES = {
    "pass": "print('fine')",
    "fail": "print('what went wrong'); raise SystemExit(3)",
    "skip": "print('first'); print('no such device'); raise SystemExit(77)",
    "killed": "import os; os.kill(os.getpid(), 9)",
    "hang": "import subprocess\nsubprocess.run(['sleep', '1000'])",
    "left": "import subprocess\nsubprocess.Popen(['setsid', 'sleep', '1000'])",
    "report": "open('sanitizer.1', 'w').write('a data race')",
    "needy": "raise SystemExit('was started')",
    "long": "raise SystemExit('was started')",
    "unsure": "import os; there = os.path.exists('/var/tmp/' + MARK); open('/var/tmp/' + MARK, 'w')\n"
              "raise SystemExit(0 if there else 4)",
}
MARK = f"cw-runner-{os.getpid()}"
FAKES["unsure"] = FAKES["unsure"].replace("MARK", repr(MARK))
NEEDS = {"hang": "timeout=1", "needy": "needs=no-such-program", "long": "full", "unsure": "full"}
# What says that a guest died of its emulator.
EMULATED = {"patched": "[ 1.2] Oops: int3: 0000 [#1]", "woken": "the machine is still in its firmware",
            "counted": "physmem.c:2678: iotlb_to_section: Assertion failed."}
for fake, line in EMULATED.items():
    FAKES[fake] = f"import os; marks = '/var/tmp/{MARK}-{fake}'\n" \
                  "n = os.path.exists(marks) and len(open(marks).read())\n" \
                  f"open(marks, 'a').write('x'); print('{line}')\nraise SystemExit(0 if n == 2 else 5)"
    NEEDS[fake] = "full"
if os.geteuid() == 0:
    FAKES["mounts"] = "import os, subprocess\nos.mkdir('m')\n" \
                      "subprocess.run(['mount', '-t', 'tmpfs', 'none', 'm'], check=True)"
# name → (verdict, what its line ends with, what the log shows)
WANT = {
    "pass": ("ok", "s", ""),
    "fail": ("FAIL", "exit status 3", "what went wrong"),
    "skip": ("skip", "no such device", ""),
    "killed": ("FAIL", "signal 9", ""),
    "hang": ("FAIL", "no end after 1 s", "sleep 1000"),
    "left": ("FAIL", "left processes behind", "sleep 1000"),
    "report": ("FAIL", "sanitizer report", "a data race"),
    "mounts": ("FAIL", "left mounts behind", "/m"),
    "needy": ("skip", "not installed: no-such-program", ""),
}


def make_tree():
    os.makedirs("root/tests/static")
    os.mkdir("root/tests/lib")
    shutil.copy(f"{SRC}/tests/run.py", "root/tests/")
    shutil.copy(f"{SRC}/tests/lib/jobs.py", "root/tests/lib/")
    with open("root/meson.build", "w", encoding="utf-8") as f:
        f.write("project('fake')\n")
    for name, text in FAKES.items():
        with open(f"root/tests/static/{name}.py", "w", encoding="utf-8") as f:
            f.write(f"# check: {NEEDS.get(name, '')}\n{text}\n")


def run(*args):
    done = subprocess.run([sys.executable, "root/tests/run.py", *args], stdout=subprocess.PIPE,
                          text=True, timeout=150, check=False)
    return done.returncode, done.stdout


def check(condition, text):
    if not condition:
        raise SystemExit(text)


make_tree()
status, out = run()
WANT = {name: want for name, want in WANT.items() if name in FAKES}
for name, (verdict, ending, shown) in WANT.items():
    check(re.search(rf"^{verdict} +static/{name} .*{re.escape(ending)}$", out, re.M),
          f"{name} is not reported as {verdict}, {ending}:\n{out}")
    check(shown in out, f"{name}: {shown!r} is not shown:\n{out}")
check(" static/long " not in out, f"a test for --full ran without it:\n{out}")
count = {v: sum(w[0] == v for w in WANT.values()) for v in ("ok", "FAIL", "skip")}
last = f"{count['ok'] + 1} passed, {count['FAIL']} failed, {count['skip']} skipped"
check(out.splitlines()[-1] == last, f"the last line is not {last!r}:\n{out}")
check(status != 0, "failures give exit status 0")
for args, want, names in ((("static/pass",), 0, ["pass"]), (("static/pa",), 0, ["pass"]),
                          (("static/p*",), 0, ["pass"]), (("static/long",), 1, ["long"]),
                          (("nothing-like-it",), 2, [])):
    status, out = run(*args)
    check(status == want, f"{args}: exit status {status}:\n{out}")
    check(re.findall(r"static/(\w+)", out) == names, f"{args}: other tests ran:\n{out}")
status, out = run("--list")
check(status == 0 and len(out.split()) == len(FAKES) - 2 - len(EMULATED), f"--list:\n{out}")
# What may have been the machine's doing is run again under --full, and said; the rest is not.
# A third time only where a guest died of its emulator.
names = ("unsure", "fail", "killed", "report", *EMULATED)
status, out = run("--full", *("static/" + n for n in names))
os.unlink("/var/tmp/" + MARK)
for fake in EMULATED:
    os.unlink(f"/var/tmp/{MARK}-{fake}")
runs = {name: re.findall(rf"^(ok|FAIL) +static/{name} ", out, re.M) for name in FAKES}
check([runs[n] for n in names] ==
      [["FAIL", "ok"], ["FAIL", "FAIL"], ["FAIL"], ["FAIL"], *[["FAIL", "FAIL", "ok"] for _ in EMULATED]],
      f"runs under --full: {runs}\n{out}")
check("at first static/unsure failed: exit status 4\n" in out and
      out.endswith(f"\n{2 + len(EMULATED)} passed, 3 failed, 0 skipped\n") and status == 1, f"its end:\n{out}")
with open("root/meson.build", "a", encoding="utf-8") as f:
    f.write("error('no build today')\n")
shutil.rmtree("root/build")
status, out = run("static/pass")
check(status == 1 and "not built" in out, f"a failed build:\n{out}")
print("the runner notices")

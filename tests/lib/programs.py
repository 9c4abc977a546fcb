# SPDX-License-Identifier: BSD-2-Clause
"""Programs that people run in a guest, on a share at /mnt/TAG that is a directory TAG here: git, SQLite,
a compiler under make. How much they do is said by the tests."""
import os

from guest import check, host, same

GIT = "git -c user.name=n -c user.email=e@example.org -c gc.auto=0 -c init.defaultBranch=main"


def make_repository(commits):
    """A repository on the host, for the guest to clone."""
    host(f"""set -e; {GIT} init -q origin; cd origin
        for i in $(seq {commits}); do
            mkdir -p dir$i; for f in 1 2 3 4 5; do seq $i$f 20$i > dir$i/file$f; done
            ln -s dir$i link$i; echo $i > top; {GIT} add -A; {GIT} commit -q -m "commit $i"
        done""")


def git(guest, base, commits):
    guest.run(f"cp -r {os.getcwd()}/origin {base}/origin")
    guest.run(f"cd {base}; {GIT} clone -q origin clone 2>&1; cd /", 200)
    run = f"cd {base}/clone; {GIT}"
    same("status of the clone", guest.run(f"{run} status --porcelain; cd /"), "")
    guest.run(f"{run} checkout -q -b topic; echo more >> top; rm dir1/file1; mkdir new; "
              f"echo x > new/file; mv link1 new/; {GIT} add -A; {GIT} commit -q -m topic; "
              f"{GIT} checkout -q main; {GIT} merge -q topic; cd /", 200)
    same("status after the merge", guest.run(f"{run} status --porcelain; cd /"), "")
    guest.run(f"{run} gc -q 2>&1; {GIT} fsck --full --strict 2>&1; cd /", 200)
    guest.run("sync")
    tag = os.path.basename(base)
    safe = f"git -c safe.directory='*' -C {tag}/clone"
    same("commits on the host", host(f"{safe} rev-list --count main").strip(), str(commits + 1))
    host(f"{safe} fsck --full --strict")
    same("status on the host", host(f"{safe} diff --stat HEAD"), "")


def sqlite(guest, base, shared_maps=True, at_once=True):
    """Two processes write, at once where reads of Linux's see what is written (docs/caching.md)."""
    journal = "wal" if shared_maps else "delete"
    db = f"{base}/db"
    same("journal", guest.run(f"sqlite3 {db} 'pragma journal_mode={journal}'").strip(), journal)
    guest.run(f"sqlite3 {db} 'create table t(a integer primary key, b text)'")
    insert = ("pragma busy_timeout=60000; "
              "with recursive n(i) as (select 1 union all select i+1 from n where i<200) "
              "insert into t(b) select hex(randomblob(50)) from n;")
    each = f"(for i in 1 2 3; do sqlite3 {db} '{insert}' || exit 1; done >/dev/null)"
    guest.run(f"{each} & p1=$!; {each} & p2=$!; wait $p1 && wait $p2" if at_once
              else f"{each} && {each}", 200)
    same("rows", guest.run(f"sqlite3 {db} 'select count(*) from t'").strip(), "1200")
    same("integrity", guest.run(f"sqlite3 {db} 'pragma integrity_check'").strip(), "ok")
    guest.run(f"sqlite3 {db} 'delete from t where a % 3 = 0; vacuum;'", 120)
    same("integrity", guest.run(f"sqlite3 {db} 'pragma integrity_check'").strip(), "ok")
    tag = os.path.basename(base)
    same("integrity on the host", host(f"sqlite3 {tag}/db 'pragma integrity_check'").strip(), "ok")
    same("rows on the host", host(f"sqlite3 {tag}/db 'select count(*) from t'").strip(), "800")


def write_project(where, units):
    """Sources with a common header, and a makefile that tracks dependencies."""
    os.makedirs(f"{where}/src")
    with open(f"{where}/src/all.h", "w", encoding="utf-8") as f:
        f.write("".join(f"int f{i}(int);\n" for i in range(units)) + "#define N 1\n")
    for i in range(units):
        with open(f"{where}/src/f{i}.c", "w", encoding="utf-8") as f:
            f.write(f'#include "all.h"\nint f{i}(int x) {{ return x * {i} + N; }}\n')
    with open(f"{where}/src/main.c", "w", encoding="utf-8") as f:
        f.write('#include <stdio.h>\n#include "all.h"\nint main(void) { int s = 0;\n'
                + "".join(f"s += f{i}({i});\n" for i in range(units))
                + 'printf("%d\\n", s); return 0; }\n')
    with open(f"{where}/Makefile", "w", encoding="utf-8") as f:
        f.write("O = $(patsubst src/%.c,o/%.o,$(wildcard src/*.c))\n"
                "prog: $(O)\n\tgcc -o $@ $^\n"
                "o/%.o: src/%.c | o\n\tgcc -O1 -MMD -c -o $@ $<\n"
                "o:\n\tmkdir o\n-include $(O:.o=.d)\n")


def compile_project(guest, base, units):
    tag = os.path.basename(base)
    write_project(f"{tag}/project", units)
    want = sum(i * i + 1 for i in range(units))
    run = f"cd {base}/project; make -j2 2>&1"
    guest.run(f"{run}; cd /", 280)
    same("output", guest.run(f"{base}/project/prog"), f"{want}\n")
    check("up to date" in guest.run(f"{run}; cd /"), "make found work to do after a build")
    # An edit in the guest, found by its time.
    guest.run(f"cd {base}/project; sleep 0.1; sed -i 's/+ N/+ 2/' src/f1.c; cd /")
    made = guest.run(f"{run}; cd /", 120)
    check("src/f1.c" in made and "src/f2.c" not in made, f"made after an edit:\n{made}")
    same("output after the edit", guest.run(f"{base}/project/prog"), f"{want + 1}\n")
    same("the program on the host", host(f"{tag}/project/prog"), f"{want + 1}\n")

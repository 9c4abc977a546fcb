# SPDX-License-Identifier: BSD-2-Clause
"""docs/virtiofsd-compat.md has a row for every option of virtiofsd 1.14 and no other; each row
names tests that do name the option; causewayd takes the option with all the values that virtiofsd
knows, or refuses it by name where the row says so. The same for the words of -o. Then the same on
copies of the page with one fault each, which must be told."""
import functools
import os
import re
import subprocess
import sys

import virtiofsd

ROOT = os.environ["CAUSEWAY_SRC"]
PAGE = "docs/virtiofsd-compat.md"
COLUMNS = 6
REFUSED = "refused"

# (pattern, what replaces its first match, what must be told)
FAULTS = (
    (r"(?m)^\| --cache .*\n", "", "--cache has no row"),
    (r"(?m)^\| --cache ", "| --cash ", "--cash is no option"),
    (r"(?m)^(\| --cache .*\n)", r"\1\1", "--cache has two rows"),
    (r"(?m)^(\| --cache (?:\|[^|]*){4}).*$", r"\1| proto/none.py |", "there is no tests/proto/none.py"),
    (r"(?m)^(\| --cache (?:\|[^|]*){4}).*$", r"\1| unit/test_mem.c |", "test_mem.c does not name --cache"),
    (r"(?m)^(\| --cache (?:\|[^|]*){4}).*$", r"\1| |", "--cache has no test"),
    (r"(?m)^(\| --migration-mode (?:\|[^|]*){2}\| )refused", r"\1abort", "--migration-mode=find-paths is refused"),
    (r"(?m)^(\| --cache (?:\|[^|]*){2}\| )auto", r"\1refused", "--cache=auto is taken"),
    (r"(?m)^(\| --cache (?:\|[^|]*){2}\| auto \|)[^|]*", r"\1 ", "says nothing of what differs"),
    (r"(?m)^\| `-d` .*\n", "", "-d has no row"),
    (r"(?m)^\| `no_flock` .*\n", "", "word no_flock has no row"),
)


def rows(text):
    """The cells of each line of a table, without the heads."""
    for line in text.splitlines():
        if re.match(r"\| (--|`)", line):
            yield [c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]]


@functools.cache
def run(*argv):
    """(status, complaint) of a command line that ends at its last option, --help, if it is right:
    the page is about what is taken, not about what is served."""
    done = subprocess.run([os.environ["CAUSEWAYD"], *argv, "--help"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, check=False, timeout=20)
    return done.returncode, done.stderr.strip()


def taken(name, forms, refused):
    for form in forms:
        argv = form.split(" ", 1)
        status, complaint = run(*argv)
        if refused and (status == 0 or name not in complaint):
            yield f"{form} is taken, or refused without its name: {status} {complaint}"
        if not refused and status:
            yield f"{form} is refused: {complaint}"


def names(text, option):
    """Whether a test's text has the option, long or as a word of -o."""
    word = option.lstrip("-").replace("-", "_")
    return re.search(rf"{option}\b|\b(no_)?{word}[,=\"]", text)


def check_tests(option, cell):
    paths = [p.strip("`") for p in cell.replace(",", " ").split()]
    if not paths:
        yield f"{option} has no test"
    for path in paths:
        full = os.path.join(ROOT, "tests", path)
        if not os.path.isfile(full):
            yield f"{option}: there is no tests/{path}"
            continue
        with open(full, encoding="utf-8") as f:
            if not names(f.read(), option):
                yield f"{option}: tests/{path} does not name {option}"


def check_options(table):
    for option, cells in table.items():
        if len(cells) != COLUMNS:
            yield f"{option}: {len(cells)} cells"
            continue
        if not cells[4]:
            yield f"{option}: says nothing of what differs ('nothing' is something)"
        yield from check_tests(option, cells[5])
        if option in ("--help", "--version", "--print-capabilities"):
            continue  # they end the parsing themselves
        yield from taken(option, virtiofsd.forms(option), cells[3].startswith(REFUSED))


def wrong(text):
    """What is wrong with the page, as lines."""
    table, words = {}, {}
    for cells in rows(text):
        key = cells[0]
        part = words if key.startswith("`") else table
        if key in part:
            yield f"{key} has two rows"
        part[key] = cells
    for option in virtiofsd.OPTIONS:
        if option not in table:
            yield f"{option} has no row"
    for option in [o for o in table if o not in virtiofsd.OPTIONS]:
        yield f"{option} is no option of virtiofsd 1.14"
    yield from check_options({o: c for o, c in table.items() if o in virtiofsd.OPTIONS})
    for short in virtiofsd.SHORT:
        if f"`{short}`" not in words:
            yield f"{short} has no row"
    for word in virtiofsd.WORDS:
        if f"`{word.split('=')[0]}`" not in words:
            yield f"word {word.split('=')[0]} has no row"
        yield from taken(word, [f"-o {word}"], False)


def main():
    with open(os.path.join(ROOT, PAGE), encoding="utf-8") as f:
        page = f.read()
    told = list(wrong(page))
    if told:
        sys.exit("\n".join([f"{PAGE}:"] + told))
    for pattern, replacement, want in FAULTS:
        text, count = re.subn(pattern, replacement, page, count=1)
        if not count:
            sys.exit(f"{PAGE} has nothing like {pattern!r} any more: adapt this test")
        told = "\n".join(wrong(text))
        if want not in told:
            sys.exit(f"{PAGE} with {pattern!r} changed: not told {want!r}, but:\n{told}")
    print(f"{len(virtiofsd.OPTIONS)} options, {len(virtiofsd.WORDS)} words of -o; "
          f"{len(FAULTS)} faults are told")


main()

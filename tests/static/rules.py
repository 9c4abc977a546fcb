# SPDX-License-Identifier: BSD-2-Clause
"""docs/coherence.md says of each rule of the version table what fails without it: the models and
their rules that it names are there, so are the tests, and no rule of a model is left out. Then the
same on copies of the page with one fault each, which must be told."""
import os
import re
import sys

import faulty

ROOT = os.environ["CAUSEWAY_SRC"]
PAGE = "docs/coherence.md"
MODELS = os.path.join(ROOT, "tests/model")
HEAD = "| rule | what fails without it |\n|---|---|\n"
ITEM = re.compile(r"`(?:(\w+):(\w+)|(\w+)\.pml|(\w+/\w+\.(?:py|c)))`")
# Models of something else, and where that is told.
ELSEWHERE = {"push": "src/vhost/deferred.h"}
# (what is replaced once, by what, what must be told)
FAULTS = (
    ("`fill:NO_MARK`", "`fill:NO_MARKS`", "fill.pml has no rule NO_MARKS"),
    ("`replace:TRUST_POISON`", "`replaced:TRUST_POISON`", "no model replaced.pml"),
    ("`fill:NO_MARK`, ", "", "fill.pml: nothing is said of NO_MARK"),
    ("`vm/test_casefold.py`", "`vm/test_casefolds.py`", "no test vm/test_casefolds.py"),
    ("| `names:TRUST_PARENT` |", "| |", "of each directory: nothing shows it"),
    ("| `echo.pml` | servers' own changes", "| servers' own changes", "echo.pml is not described"),
)


def rules():
    """{model: the rules that it can be built without}."""
    found = {}
    for name in os.listdir(MODELS):
        if name.endswith(".pml") and name[:-4] not in ELSEWHERE:
            with open(os.path.join(MODELS, name), encoding="utf-8") as f:
                found[name[:-4]] = set(re.findall(r"(?m)^ \* +without +(\w+)(?: \w+=\w+)*:", f.read()))
    return found


def wrong(page, models):
    if HEAD not in page:
        yield "no table of rules"
        return
    before, rows = page.split(HEAD)
    rows = rows.split("\n\n")[0].split("\n")
    told = {name: set() for name in models}
    for row in rows:
        rule, cell = re.fullmatch(r"\| (.+?) \| ?(.*?) ?\|", row).groups()
        items = [i for i in cell.split(", ") if i]
        if not items:
            yield f"{rule}: nothing shows it"
        for item in items:
            parts = ITEM.fullmatch(item)
            if not parts:
                yield f"{rule}: neither a model's rule nor a test: {item}"
                continue
            model, switch, whole, test = parts.groups()
            if test and not os.path.isfile(os.path.join(ROOT, "tests", test)):
                yield f"{rule}: no test {test}"
            elif not test and (model or whole) not in models:
                yield f"{rule}: no model {model or whole}.pml"
            elif switch and switch not in models[model]:
                yield f"{rule}: {model}.pml has no rule {switch}"
            elif not test:
                told[model or whole] |= {switch} if switch else models[whole]
    for name, all_ in sorted(models.items()):
        for switch in sorted(all_ - told[name]):
            yield f"{name}.pml: nothing is said of {switch}"
        if f"\n| `{name}.pml` |" not in before:
            yield f"{name}.pml is not described"


def main():
    models = rules()
    with open(os.path.join(ROOT, PAGE), encoding="utf-8") as f:
        page = f.read()
    told = list(wrong(page, models))
    for name, file in ELSEWHERE.items():
        with open(os.path.join(ROOT, file), encoding="utf-8") as f:
            if f"{name}.pml" not in f.read():
                told.append(f"{name}.pml: {file} says nothing of it")
    if told:
        sys.exit("\n".join([f"{PAGE}:"] + told))
    faulty.must_be_told(PAGE, page, FAULTS, lambda text: wrong(text, models))
    print(f"{sum(map(len, models.values()))} rules of {len(models)} models; {len(FAULTS)} faults are told")


main()

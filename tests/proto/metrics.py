# SPDX-License-Identifier: BSD-2-Clause
"""What a daemon says at its control socket (docs/top.md), taken apart."""

import re
import socket

from harness import HANG, check, equal

LAST = "# EOF\n"

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)?\}})? (\d+(?:\.\d+)?)")
SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def ask(path, request=b"metrics\n"):
    """The whole answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        # Without a limit: where others wait already, one that has a limit is sent away.
        s.connect(path)
        s.settimeout(HANG)
        s.sendall(request)
        return drain(s)


def drain(s):
    answer = b""
    while data := s.recv(65536):
        answer += data
    return answer.decode()


def labels_of(text):
    return tuple(sorted(re.findall(rf'({NAME})="((?:[^"\\]|\\.)*)"', text or "")))


def check_histogram(family, samples):
    """Buckets of each set of labels grow up to +Inf, which is the count."""
    rows = {}
    for (name, labels), value in samples.items():
        if name == f"{family}_bucket":
            rest = tuple(x for x in labels if x[0] != "le")
            rows.setdefault(rest, []).append((float(dict(labels)["le"]), value))
    for rest, buckets in rows.items():
        values = [v for _, v in sorted(buckets)]
        equal(values, sorted(values), f"{family} {rest}: buckets")
        equal(sorted(buckets)[-1][0], float("inf"), f"{family} {rest}: last bucket")
        equal(values[-1], samples[f"{family}_count", rest], f"{family} {rest}: count")
        check((f"{family}_sum", rest) in samples, f"{family} {rest}: no sum")


def parse(text):
    """{(name, labels): value}, if the text is what the format wants."""
    check(text.endswith(LAST), "the text is cut:", text[-200:])
    families, samples, now = {}, {}, None
    lines = text[:-len(LAST)].splitlines()
    for i, line in enumerate(lines):
        if line.startswith("# HELP "):
            check(lines[i + 1].startswith("# TYPE " + line.split(" ", 3)[2] + " "), line)
            check(line.split(" ", 3)[3], f"no help: {line}")
        elif line.startswith("# TYPE "):
            _, _, now, kind = line.split(" ")
            check(now.startswith("causeway_") and now not in families, f"family {now}")
            check(kind != "counter" or now.endswith("_total"), f"name of a counter: {now}")
            families[now] = kind
        else:
            m = SAMPLE.fullmatch(line)
            check(m, f"no sample: {line!r}")
            check(m.group(1) in [now + s for s in SUFFIXES[families[now]]], f"{line} in {now}")
            key = (m.group(1), labels_of(m.group(2)))
            check(key not in samples, f"twice: {line}")
            samples[key] = float(m.group(3))
    for family, kind in families.items():
        if kind == "histogram":
            check_histogram(family, samples)
    return samples


def value(samples, name, **labels):
    return samples.get((f"causeway_{name}", tuple(sorted(labels.items()))), 0)

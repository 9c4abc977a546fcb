# SPDX-License-Identifier: BSD-2-Clause
"""include/causeway.h, the symbols of libcauseway.so and .a and causeway(3) name the same functions;
the page shows each with the prototype of the header, and names each option and property of the
library. The header compiles by itself, as C and as C++."""
import os
import re
import shutil
import subprocess
import sys

ROOT = os.environ["CAUSEWAY_SRC"]
BUILD = os.environ["CAUSEWAY_BUILD"]
wrong = []


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as f:
        return f.read()


def squeeze(text):
    return re.sub(r"\s+", " ", text).replace("* ", "*").strip()


def prototypes(text):
    """name → prototype of each function that the header declares."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    text = re.sub(r"^\s*#.*(\\\n.*)*$", "", text, flags=re.M)
    found = re.findall(r"^[a-z][\w\s*]*?\b(causeway_\w+)\([^;{]*\);", text, re.M | re.S)
    return {name: squeeze(re.search(rf"^[a-z][\w\s*]*?\b{name}\([^;]*?\);", text, re.M | re.S)
                          .group(0)[:-1]) for name in found}


def documented(text):
    """name → prototype at the head of a paragraph of the page."""
    heads = re.findall(r"^\*([a-z][^\n]*\bcauseway_\w+\(.*?\))\*$", text, re.M | re.S)
    out = {}
    for head in heads:
        plain = squeeze(head.replace("\\", ""))
        out[re.search(r"(causeway_\w+)\(", plain).group(1)] = plain
    return out


def exported():
    lib = os.path.join(BUILD, "src/client/libcauseway.so")
    text = subprocess.run(["nm", "-D", "--defined-only", lib], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    return {line.split()[-1].split("@")[0] for line in text.splitlines()
            if line.split()[-2] not in ("A",)}


ARCHIVE = os.path.join(BUILD, "src/client/libcauseway.a")
PROGRAM = """
#include <causeway.h>
#include <stdio.h>
/* Names that the library has inside too. */
int walk, client_call, arena_alloc, transport_open, vhost_connect;
int main(void) { causeway_free(causeway_new()); puts(causeway_version()); return walk; }
"""


def archived():
    text = subprocess.run(["nm", "-g", "--defined-only", ARCHIVE], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    return {line.split()[-1] for line in text.splitlines() if len(line.split()) == 3}


def check_archive():
    """A program that uses the library's internal names for its own purposes links with it."""
    argv = ["cc", "-I" + os.path.join(ROOT, "include"), "-x", "c", "-", "-x", "none", ARCHIVE,
            "-pthread", "-o", "program"]
    done = subprocess.run(argv, input=PROGRAM, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        wrong.append("a program does not link with libcauseway.a:\n" + done.stdout)
    elif not re.fullmatch(r"[\d.]+\n", subprocess.run(["./program"], text=True, check=False,
                                                      stdout=subprocess.PIPE).stdout):
        wrong.append("a program linked with libcauseway.a does not run")


def compare(what, have, want):
    for name in sorted(set(want) - set(have)):
        wrong.append(f"{name}() is not in {what}")
    for name in sorted(set(have) - set(want)):
        wrong.append(f"{name}() of {what} is not in include/causeway.h")


def check_words(page):
    options = read("src/client/options.c")
    names = re.findall(r'NUMBER\("([\w-]+)"', options)
    names += re.findall(r'strcmp\(option, "([\w-]+)"\)', options)
    table = page[page.index("# OPTIONS"):page.index("# ", page.index("# OPTIONS") + 2)]
    told = [w for line in re.findall(r"^[|\[]+\s+(\*.*)$", table, re.M)
            for w in re.findall(r"\*([a-z-]+)\*", line)]
    properties = re.findall(r'^\t\t\{"([\w-]+)", ', read("src/client/connect.c"), re.M)
    for name in sorted(set(names) ^ set(told)):
        wrong.append(f"option {name} is in one of src/client/options.c and causeway(3) only")
    for name in properties:
        if f"_{name}_ (" not in page:
            wrong.append(f"property {name} is not in causeway(3)")
    if not names or not properties:
        wrong.append("no options or no properties found: adapt this test")


def check_header():
    for compiler, language in (("cc", "c"), ("c++", "c++")):
        if not shutil.which(compiler):
            continue
        argv = [compiler, "-x", language, "-fsyntax-only", "-Wall", "-Wextra", "-Werror",
                "-pedantic", os.path.join(ROOT, "include/causeway.h")]
        if language == "c":
            argv.insert(3, "-std=c11")
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        if done.returncode:
            wrong.append(f"the header is no {language}:\n{done.stdout}")


declared = prototypes(read("include/causeway.h"))
page = read("man/causeway.3.scd")
heads = documented(page)
mapped = re.findall(r"^\t\t(causeway_\w+);", read("src/client/causeway.map"), re.M)
if len(declared) < 5:
    wrong.append("the header declares hardly anything: adapt this test")
if mapped != sorted(mapped):
    wrong.append("src/client/causeway.map is not sorted")
compare("src/client/causeway.map", mapped, declared)
compare("libcauseway.so", exported(), declared)
compare("libcauseway.a", archived(), declared)
check_archive()
compare("causeway(3)", heads, declared)
for name in sorted(set(heads) & set(declared)):
    if heads[name] != declared[name]:
        wrong.append(f"causeway(3) shows {heads[name]}, the header has {declared[name]}")
check_words(page)
check_header()
print("\n".join(wrong) if wrong else f"{len(declared)} functions agree")
sys.exit(1 if wrong else 0)

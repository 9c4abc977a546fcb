# SPDX-License-Identifier: BSD-2-Clause
"""Headers of proto/ that ask for __KERNEL__ compile there: with a kernel's types alone, without a C
library, and without a warning. Then the same with faults, which must be told."""
import os
import re
import subprocess
import sys

ROOT = os.environ["CAUSEWAY_SRC"]
# What <linux/types.h> of a kernel gives them.
TYPES = """
#pragma once
typedef unsigned char uint8_t; typedef unsigned short uint16_t; typedef unsigned int uint32_t;
typedef unsigned long long uint64_t; typedef int int32_t; typedef long long int64_t;
typedef _Bool bool;
enum { false, true };
"""
FLAGS = ("-std=gnu11", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Wdeclaration-after-statement",
         "-Werror", "-ffreestanding", "-nostdinc", "-D__KERNEL__", "-Ikernel", f"-I{ROOT}", "-fsyntax-only")
FAULTS = ("#include <stdint.h>", "#include <string.h>",
          "static inline uint_fast64_t f(void) { return 0; }")


def compile_one(text):
    with open("unit.c", "w", encoding="utf-8") as f:
        f.write(text)
    done = subprocess.run(["gcc", *FLAGS, "unit.c"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    return done.stdout if done.returncode else ""


os.makedirs("kernel/linux", exist_ok=True)
# As it is before it is installed for a C library.
with open("/usr/include/linux/fuse.h", encoding="utf-8") as installed:
    fuse = installed.read()
with open("kernel/linux/fuse.h", "w", encoding="utf-8") as header:
    header.write(fuse.replace("<stdint.h>", "<linux/types.h>"))
with open("kernel/linux/types.h", "w", encoding="utf-8") as types:
    types.write(TYPES)
headers = []
for name in sorted(os.listdir(f"{ROOT}/proto")):
    with open(f"{ROOT}/proto/{name}", encoding="utf-8") as header:
        text = header.read()
    if "__KERNEL__" in text or re.search(r'#include "proto/version_', text):
        headers.append(name)
told = [compile_one(f'#include "proto/{name}"\n') for name in headers]
if any(told) or len(headers) < 3:
    sys.exit("\n".join(told) or f"only {headers} found")
for fault in FAULTS:
    if not compile_one(f'#include "proto/{headers[0]}"\n{fault}\n'):
        sys.exit(f"not told: {fault}")
print(f"{', '.join(headers)}; {len(FAULTS)} faults are told")

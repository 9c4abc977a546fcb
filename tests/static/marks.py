# SPDX-License-Identifier: BSD-2-Clause
"""Nothing in src/fs/passthrough changes what is shared before it has marked it in the version table.

A system call that changes something stands behind a mark in its function; or in a function that is
called only behind marks, in its turn; or is one of those below, for a reason. What a mark is of, the
tests of version_ops.h see. Then the same on copies of the source with one fault each, which must be
told.
"""
import os
import re
import sys

ROOT = os.environ["CAUSEWAY_SRC"]
FOLDER = "src/fs/passthrough"

MARK = re.compile(r"\b(pt_mark|pt_mark_names?|pt_mark_new_name|pt_mark_made|pt_mark_inode|pt_own_begin)\(")
CHANGE = re.compile(
    r"\b(unlinkat|renameat2?|mkdirat|mknodat|symlinkat|linkat|(?:p?write(?:v2?)?|pwrite64)|"
    r"[fl]?setxattr|[fl]?removexattr|f?truncate|fallocate|f?chmod(?:at)?|[fl]?chown(?:at)?|utimensat|"
    r"futimens|copy_file_range|sendfile|splice|ioctl|open|openat|syscall)\(")
# Ours, which open as their callers say.
OPENS = ("open", "openat", "pt_open_node")
HARMLESS_OPEN = re.compile(r"^(?:O_(?!CREAT|TRUNC|TMPFILE)[A-Z]+|[|() ])+$")
HARMLESS_IOCTL = re.compile(r"^(?:FS_IOC_(?:FS)?GET\w+|PIDFD_GET\w+)$")
HARMLESS_SYSCALL = re.compile(r"^SYS_(?:capget|capset|setgroups|getdents64|getuid|gettid|set\w+id|"
                              r"name_to_handle_at|open_by_handle_at|statx|pidfd_open|openat2)$")

# Function: why it may change something unmarked.
WITHOUT = {
    "set_fscreate": "an attribute of this thread, in /proc",
    "open_buffered": "of the flags that it is given it takes how to access the file, nothing else",
    "open_quietly": "O_RDONLY or O_RDWR, and O_NOATIME",
    "open_resting": "O_RDONLY or O_WRONLY",
    "open_for_locks": "O_RDONLY or O_RDWR",
    "pt_read": "pt_io() for reading",
}

# (file, what is replaced once, by what, what must be told)
FAULTS = (
    ("names.c", "\tcred_be_daemon();\n\tpt_mark_name(pt, parent.node, name);\n\tPT_VICTIM", "\tPT_VICTIM",
     "remove_name: unlinkat"),
    ("attr.c", "\tpt_mark(ref.node, VT_NODE_ATTR | (set->set & FS_SET_SIZE ? VT_NODE_DATA : 0));\n", "",
     "pt_setattr"),
    ("xattr.c", "\tpt_mark(ref.node, VT_NODE_ATTR);\n\treturn neg_errno(removexattr(", "\treturn neg_errno(removexattr(",
     "pt_removexattr: removexattr"),
    ("data.c", "pt_mark(open.handle->node, VT_FILE);\n\tpt_dax_flush", "pt_dax_flush", "pt_write"),
    ("file.c", "\tif (flags & O_TRUNC)\n\t\tpt_mark(ref.node, VT_FILE);\n", "", "open_handle"),
)


def functions(text):
    """(name, whether it is static, body) of each."""
    for found in re.finditer(r"(?m)^([a-z][^;{}#=]*?)\b(\w+)\(([^;{}]*)\)\n\{\n(.*?)^\}$", text, re.S):
        yield found[2], "static" in found[1], found[4]


def plain(text):
    """Without comments and strings."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)
    return re.sub(r'"(?:\\.|[^"\\\n])*"', '""', text)


def arguments(body, at):
    """Of the call whose parenthesis opens before at."""
    depth, begin, args = 1, at, []
    for i in range(at, len(body)):
        c = body[i]
        if c in "([{":
            depth += 1
        elif c in ")]}":
            depth -= 1
        if depth == 0 or (depth == 1 and c == ","):
            args.append(" ".join(body[begin:i].split()))
            begin = i + 1
        if depth == 0:
            return args
    return args


def is_harmless(name, args, body):
    if name in OPENS:
        return bool(HARMLESS_OPEN.match(args[1] if name == "open" else args[2]))
    if name == "ioctl":
        return bool(HARMLESS_IOCTL.match(args[1]))
    if name == "syscall" and args[0] == "SYS_openat2":
        flags = re.search(r"\.flags = ([^,]*),", body)
        return bool(flags and HARMLESS_OPEN.match(" ".join(flags[1].split())))
    return name == "syscall" and bool(HARMLESS_SYSCALL.match(args[0]))


class Source:
    def __init__(self, files):
        self.functions = {}  # (file, name): body
        self.static = set()
        for file, text in files.items():
            for name, static, body in functions(plain(text)):
                self.functions[file, name] = body
                if static:
                    self.static.add((file, name))
        self.calls = {}  # name: [(file, function, position)]
        for (file, name), body in self.functions.items():
            for found in re.finditer(r"\b(\w+)\(", body):
                self.calls.setdefault(found[1], []).append((file, name, found.end()))

    def callers(self, file, name):
        for at in self.calls.get(name, ()):
            if (file, name) not in self.static or at[0] == file:
                yield at

    def unmarked(self, file, name, position, what, seen):
        """Who comes to a place in a function without a mark."""
        if name in WITHOUT or (file, name) in seen or MARK.search(self.functions[file, name], 0, position):
            return
        seen.add((file, name))
        callers = list(self.callers(file, name))
        if not callers:
            yield f"{file}: {name}: {what}"
        for there, caller, at in callers:
            if name in OPENS and is_harmless(name, arguments(self.functions[there, caller], at), ""):
                continue
            yield from self.unmarked(there, caller, at, f"{name}: {what}", seen)

    def wrong(self):
        for (file, name), body in self.functions.items():
            for found in CHANGE.finditer(body):
                if not is_harmless(found[1], arguments(body, found.end()), body):
                    yield from self.unmarked(file, name, found.end(), found[1], set())


def main():
    files, told = {}, []
    for name in sorted(os.listdir(os.path.join(ROOT, FOLDER))):
        if name.endswith(".c"):
            with open(os.path.join(ROOT, FOLDER, name), encoding="utf-8") as f:
                files[name] = f.read()
    source = Source(files)
    told += source.wrong()
    names = {name for _, name in source.functions}
    changes = sum(len(CHANGE.findall(body)) for body in source.functions.values())
    if changes != sum(len(CHANGE.findall(plain(text))) for text in files.values()):
        told.append("there is a call in no function: adapt this test")
    told += [f"there is no {name} any more" for name in WITHOUT if name not in names]
    if told:
        sys.exit("\n".join(["changed and not marked before:"] + told))
    for file, old, new, want in FAULTS:
        if old not in files[file]:
            sys.exit(f"{file} has no {old!r} any more: adapt this test")
        told = list(Source({**files, file: files[file].replace(old, new, 1)}).wrong())
        if not any(want in line for line in told):
            sys.exit(f"{file} with {old!r} changed: not told {want!r}, but: {told}")
    print(f"{changes} calls in {len(source.functions)} functions; {len(FAULTS)} faults are told")


main()

# SPDX-License-Identifier: BSD-2-Clause
"""The same honest requests to two daemons, each on a tree of its own that began as a copy of the
other's: Pair sends them, knows what is what on either side, and compares the replies.

Compared is what a guest could notice: errors, attributes, data, names. Not compared are node ids
and handles as numbers, inode numbers, times and allocated blocks; but one node on one side must be
one node on the other. A difference is (operation, field, ours, theirs); who explains it is the
caller's matter.
"""

import os
import stat
import struct

from fuse import ROOT, name, parse_attr, parse_dirents, parse_entry, read_in
from harness import check, errname

# Of an attribute: what must be equal. Sizes of directories are the host file system's affair.
ATTRIBUTES = ("mode", "nlink", "uid", "gid", "rdev", "size")
COUNTED = ("LOOKUP", "MKDIR", "MKNOD", "SYMLINK", "LINK", "CREATE", "READDIRPLUS")


class Node:
    """An inode that both sides have told us of."""

    def __init__(self, ids, mode):
        self.ids, self.mode, self.count = list(ids), mode, 0

    def is_dir(self):
        return stat.S_ISDIR(self.mode)

    def is_file(self):
        return stat.S_ISREG(self.mode)


class Handle:
    def __init__(self, node, fhs, flags):
        self.node, self.fhs, self.flags = node, fhs, flags


def attributes(a):
    return {f: getattr(a, f) for f in ATTRIBUTES
            if not (f == "size" and stat.S_ISDIR(a.mode))}


def fields_entry(data):
    e = parse_entry(data)
    if e.nodeid == 0:
        return {"entry": "none"}
    return {"entry": "one", **attributes(e.attr)}


def fields_attr(data):
    return attributes(parse_attr(data[16:]))


def fields_create(data):
    return fields_entry(data[:128])


def fields_list(data, plus=False):
    """Type by name. The order is the host's, whose hash has a seed of its own in each tree."""
    entries = parse_dirents(data, plus)
    out = {"names": {d.name: d.type for d in entries}}
    for d in entries:
        if plus and d.entry.nodeid:
            out["entry " + d.name] = attributes(d.entry.attr)
    return out


FIELDS = {
    "LOOKUP": fields_entry, "MKDIR": fields_entry, "MKNOD": fields_entry,
    "SYMLINK": fields_entry, "LINK": fields_entry, "CREATE": fields_create,
    "GETATTR": fields_attr, "SETATTR": fields_attr, "OPEN": lambda data: {},
    "OPENDIR": lambda data: {}, "READDIR": fields_list,
    "READDIRPLUS": lambda data: fields_list(data, True),
    "LISTXATTR": lambda data: {"names": sorted(data.split(b"\0"))},
    "STATFS": lambda data: {"bsize, namelen": struct.unpack_from("<II", data, 40)},
}


def fields(op, reply):
    """What a reply says, as a dictionary."""
    out = {"error": errname(reply.error)}
    if reply.error == 0:
        parse = FIELDS.get(op, lambda data: {"data": data})
        out.update(parse(reply.data))
    return out


class Pair:
    """worlds are ours and theirs, both initialized. explain(op, field, ours, theirs) is called for
    each difference and raises where there is no explanation."""

    def __init__(self, worlds, explain):
        self.worlds, self.explain = worlds, explain
        self.root = Node((ROOT, ROOT), stat.S_IFDIR | 0o755)
        self.nodes, self.by_id = [self.root], [{ROOT: self.root}, {ROOT: self.root}]
        self.handles = []
        self.log = []
        self.requests = 0

    def ask(self, op, node, args=b"", out=4096, note="", **kw):
        """Sends to both; args may be a function of the side. Returns the replies."""
        self.log.append(f"{op} {self.nodes.index(node) if node in self.nodes else '-'} {note}")
        self.requests += 1
        tokens = [w.fs.start(op, node.ids[i], args(i) if callable(args) else args, out + 16, **kw)
                  for i, w in enumerate(self.worlds)]
        return [w.fs.finish(t) for w, t in zip(self.worlds, tokens)]

    def call(self, op, node, args=b"", out=4096, note="", **kw):
        """Asks both, and compares. Returns the replies when both are good, None when both fail or
        an explained difference leaves nothing to go on with."""
        replies = self.ask(op, node, args, out, note, **kw)
        told = [fields(op, r) for r in replies]
        alike = told[0]["error"] == told[1]["error"]
        for field in dict.fromkeys([*told[0], *told[1]]) if alike else ("error",):
            if told[0].get(field) != told[1].get(field):
                self.explain(op, field, told[0].get(field), told[1].get(field))
        if op in COUNTED:
            self.learn(op, replies)
        elif op == "SETATTR" and replies[0].error == 0:
            node.mode = parse_attr(replies[0].data[16:]).mode
        return replies if all(r.error == 0 for r in replies) else None

    # nodes

    def learn(self, op, replies):
        """Each entry of good replies is a lookup more of its node."""
        entries = [{}, {}]
        for i, r in enumerate(replies):
            if r.error:
                continue
            if op == "READDIRPLUS":
                entries[i] = {d.name: d.entry for d in parse_dirents(r.data, True)}
            else:
                entries[i] = {"": parse_entry(r.data[:128])}
        for key in entries[0].keys() | entries[1].keys():
            pair = [e.get(key) for e in entries]
            ids = [e.nodeid if e else 0 for e in pair]
            if all(ids):
                self.met(op, ids, pair[0].attr.mode)
            else:
                for i, nodeid in enumerate(ids):
                    if nodeid:  # one side knows more: take it back
                        self.worlds[i].fs.forget(nodeid)

    def met(self, op, ids, mode):
        known = [self.by_id[i].get(n) for i, n in enumerate(ids)]
        if known[0] is not known[1]:
            self.explain(op, "node", *["known" if k else "new" for k in known])
        node = known[0]
        if not node:
            node = Node(ids, mode)
            self.nodes.append(node)
            for i, n in enumerate(ids):
                self.by_id[i][n] = node
        node.mode = mode
        node.count += 1
        return node

    def node_of(self, replies):
        """The node of an entry that both gave."""
        return self.by_id[0][parse_entry(replies[0].data[:128]).nodeid]

    def forget(self, node, count):
        """Gives lookups back; a node without any is gone."""
        self.log.append(f"FORGET {self.nodes.index(node)} {count}")
        for i, w in enumerate(self.worlds):
            w.fs.forget(node.ids[i], count)
        node.count -= count
        if node.count == 0:
            self.nodes.remove(node)
            for i, n in enumerate(node.ids):
                del self.by_id[i][n]

    # handles

    def opened(self, node, replies, flags, at=0):
        if not replies:
            return None
        h = Handle(node, [struct.unpack_from("<Q", r.data, at)[0] for r in replies], flags)
        self.handles.append(h)
        return h

    def release(self, handle):
        self.handles.remove(handle)
        op = "RELEASEDIR" if handle.node.is_dir() else "RELEASE"
        self.call(op, handle.node, lambda i: struct.pack("<QIIQ", handle.fhs[i], 0, 0, 0), 0)

    def find(self, parent, text):
        """The node of a name, or None."""
        replies = self.call("LOOKUP", parent, name(text), 128, text)
        if not replies or parse_entry(replies[0].data).nodeid == 0:
            return None
        return self.node_of(replies)

    # what is on the host

    def names(self, node):
        """All names of a directory, read to its end on each side; how many a reply holds, and in
        which order, is not compared."""
        replies = self.call("OPENDIR", node, struct.pack("<II", 0o200000, 0), 16)
        handle = self.opened(node, replies, 0)
        if not handle:
            return
        lists = [self.read_all(i, handle) for i in range(2)]
        self.requests += 1
        if lists[0] != lists[1]:
            self.explain("READDIR", "names", *lists)
        self.release(handle)

    def read_all(self, i, handle):
        out, offset = {}, 0
        while True:
            r = self.worlds[i].fs.call("READDIR", handle.node.ids[i],
                                       read_in(handle.fhs[i], offset, 512), 512 + 16)
            if r.error:
                return errname(r.error)
            part = parse_dirents(r.data)
            if not part:
                return out
            check(not any(d.name in out for d in part), "a name twice in", out, part)
            out.update({d.name: d.type for d in part})
            offset = part[-1].off

    def compare_trees(self):
        """The two trees as the host sees them."""
        ours, theirs = (tree(w.daemon.share) for w in self.worlds)
        for path in sorted(ours.keys() | theirs.keys()):
            if ours.get(path) != theirs.get(path):
                self.explain("tree", path, ours.get(path), theirs.get(path))


def tree(root):
    """Everything below a directory: what stat tells that can be compared, content, attributes; and
    of a file with several names the first of them."""
    out, seen = {}, {}
    root = os.fsencode(root)
    for directory, dirs, files in os.walk(root):
        dirs.sort()
        for entry in [b""] + sorted(files) + [d for d in dirs
                                              if os.path.islink(os.path.join(directory, d))]:
            path = os.path.join(directory, entry)
            st = os.lstat(path)
            key = os.path.relpath(path, root)
            what = [st.st_mode, st.st_nlink, st.st_uid, st.st_gid, st.st_rdev,
                    seen.setdefault(st.st_ino, key)]
            if stat.S_ISREG(st.st_mode):
                with open(path, "rb") as f:
                    what += [st.st_size, f.read()]
            if stat.S_ISLNK(st.st_mode):
                what.append(os.readlink(path))
            what.append(sorted((a, os.getxattr(path, a, follow_symlinks=False))
                               for a in os.listxattr(path, follow_symlinks=False)))
            out[key] = what
    return out

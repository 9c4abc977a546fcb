# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=600 needs=setfattr,getfattr,tar,setfacl,getfacl,rsync
"""Extended attributes and ACLs in a guest: set and got by programs, kept by tar and rsync, the same
on the host."""
import os

import acls
import fscompare
from guest import FSCASES, Daemon, Guest, fast_qemu, host, same, warnings_of

DUMP = "getfattr -h -d -m - --absolute-names"


def cases(guest):
    """What the file semantics cases give on the host they give on the share."""
    os.mkdir("host")
    names = "xattr,owners,modes"
    oracle = fscompare.run_here("host", names)
    status, text = guest.try_run(f"{FSCASES} /mnt/x --only {names}")
    same("status of the cases", status, 0)
    same("differences", fscompare.differences(oracle, fscompare.read(text), "auto", []), [])


def programs(guest):
    guest.run("cd /mnt/x; mkdir t t/d; echo text > t/f; ln -s f t/l; mkfifo t/p; "
              "setfattr -n user.one -v 1 t/f; setfattr -n user.two -v 0x00ff00 t/d; "
              "setfattr -h -n trusted.three -v 3 t/l; setfattr -n trusted.four -v 4 t/p; cd /")
    for name, attribute in (("f", 'user.one="1"'), ("d", "user.two=0sAP8A"),
                            ("l", 'trusted.three="3"'), ("p", 'trusted.four="4"')):
        for text in (guest.run(f"{DUMP} /mnt/x/t/{name}"), host(f"{DUMP} x/t/{name}")):
            same(f"{name}: {text}", attribute in text.split("\n"), True)
    # Only the link has the link's.
    same("target", "trusted.three" in guest.run(f"{DUMP} /mnt/x/t/f"), False)
    guest.run("cd /mnt/x; tar --xattrs --xattrs-include='*' -cf a.tar t; mkdir u; "
              "tar --xattrs --xattrs-include='*' -xf a.tar -C u; cd /")
    dump = f"cd x; {DUMP} t/f t/d"
    same("through tar", host(dump), host(dump.replace("x;", "x/u;")))
    # What the host sets, the guest gets, and the other way round for what it removes.
    host("setfattr -n user.host -v h x/t/f")
    same("from the host", guest.run("getfattr --only-values -n user.host --absolute-names "
                                    "/mnt/x/t/f"), "h")
    guest.run("setfattr -x user.host /mnt/x/t/f")
    same("removed", "user.host" in host(f"{DUMP} x/t/f"), False)


def other_user(guest):
    """The guest's kernel says who may: not a stranger, and trusted ones only root."""
    guest.run("chmod 755 /mnt/x; touch /mnt/x/s; chmod 644 /mnt/x/s; "
              "setfattr -n user.a -v 1 /mnt/x/s; setfattr -n trusted.a -v 1 /mnt/x/s")
    run = "perl -e '$( = $) = 1234; $< = $> = 1234; exec @ARGV' "
    same("a stranger gets", guest.run(f"{run}{DUMP} /mnt/x/s").count("="), 1)
    same("a stranger sets", guest.try_run(f"{run}setfattr -n user.a -v 2 /mnt/x/s")[0], 1)
    same("the value", guest.run("getfattr --only-values -n user.a --absolute-names /mnt/x/s"), "1")


def without(guest):
    """Without --xattr: nothing to see, and an honest refusal."""
    host("touch n/f; setfattr -n user.a -v 1 n/f")
    status, text = guest.try_run("getfattr -n user.a /mnt/n/f")
    same(f"shown: {text}", (status, "not supported" in text), (1, True))
    status, text = guest.try_run("setfattr -n user.b -v 1 /mnt/n/f")
    same(f"refused: {text}", (status, "not supported" in text), (1, True))


for directory in ("x", "n", "a"):
    os.mkdir(directory)
daemons = [Daemon("x", "--xattr", "--modcaps", "+sys_admin", name="x"), Daemon("n", name="n"),
           Daemon("a", "--posix-acl", name="a")]
vm = Guest(*fast_qemu(), *[o for d in daemons for o in ("--socket", f"{d.socket}:{d.name}")])
cases(vm)
programs(vm)
other_user(vm)
without(vm)
acls.compare(vm, "a/w", "/mnt/a/w")
same("kernel warnings", warnings_of(vm), [])
same("status", vm.close(), 0)
for d in daemons:
    same(f"{d.name}: status", d.wait(), 0)

# SPDX-License-Identifier: BSD-2-Clause
"""POSIX ACLs of a share with --posix-acl, whichever driver the guest has."""
import os

from guest import host, same

ACLS = '''set -e; cd BASE; umask 027
mkdir d; setfacl -m u:1234:rwx,g:1235:r-x d; setfacl -d -m u:1234:rw-,g:1235:--x,o::r-- d
echo x > d/file; mkdir -m 700 d/sub; echo x > d/sub/deep; ln -s file d/link; mkfifo -m 666 d/pipe
mkdir plain; echo x > plain/file; mkdir plain/sub
echo x > f; chmod 2755 f; setfacl -m u:1234:r-- f; chmod g-w f; setfacl -x u:1234 f
echo x > g; setfacl -m u:1234:rw- g; chmod 640 g; echo x > h; setfacl -m g:9:rwx h; setfacl -b h
rsync -aHAX d/ copy/; tar --acls --xattrs -cf - d | (mkdir un; tar --acls --xattrs -C un -xf -)
'''
SHOW = "cd BASE; getfacl -n -R -P .; stat -c '%A %u:%g %n' $(find . | sort)"
# Before a number and a command: as that user, of group 77.
USER = "perl -e '$( = $) = 77; $< = $> = shift; exec @ARGV' "


def compare(guest, directory, mount):
    """The same commands on the host and in a new directory, which the guest has below that path, leave
    the same ACLs and modes, which the guest shows as the host does, and holds."""
    oracle = f"host-{directory.replace('/', '-')}"
    os.mkdir(oracle)
    os.mkdir(directory)
    host(ACLS.replace("BASE", oracle))
    guest.run(f"({ACLS.replace('BASE', mount)})")
    want = host(SHOW.replace("BASE", oracle))
    same("on the host", host(SHOW.replace("BASE", directory)), want)
    same("in the guest", guest.run(f"({SHOW.replace('BASE', mount)})"), want)
    guest.run(f"chmod 755 {mount}/.. {mount}; cd {mount}; echo x > k; chmod 600 k; "
              "setfacl -m u:1234:r-- k; cd /")
    same("who is named", guest.run(f"{USER} 1234 cat {mount}/k"), "x\n")
    same("who is not", guest.try_run(f"{USER} 1236 cat {mount}/k")[0], 1)
    # An owner outside the file's group loses the set-group-id bit with the ACL.
    guest.run(f"cd {mount}; echo x > s; chown 1234:1235 s; chmod 2755 s; cd /")
    guest.run(f"{USER} 1234 setfacl -m u:1:r-x {mount}/s")
    same("the bit", host(f"stat -c %a {directory}/s"), "755\n")

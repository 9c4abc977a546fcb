# SPDX-License-Identifier: BSD-2-Clause
"""The command line of virtiofsd 1.14, as its --help has it: what tests/static/compat.py holds
docs/virtiofsd-compat.md to, and tests/proto/test_virtiofsd.py compares with the program itself."""

# Each long option, with the values that its --help names or one that is well formed. None: the
# option alone.
OPTIONS = {
    "--shared-dir": ("x",),
    "--tag": ("name",),
    "--socket": ("sock",),
    "--socket-path": ("sock",),
    "--socket-group": ("root",),
    "--fd": ("0",),
    "--thread-pool-size": ("0", "4"),
    "--xattr": (None,),
    "--posix-acl": (None, "never", "auto", "always"),
    "--xattrmap": (":map::user.virtiofs.:",),
    "--sandbox": ("namespace", "chroot", "none"),
    "--readonly": (None,),
    "--seccomp": ("none", "kill", "log", "trap"),
    "--announce-submounts": (None,),
    "--no-announce-submounts": (None,),
    "--inode-file-handles": ("never", "prefer", "mandatory", "fallback"),
    "--cache": ("auto", "always", "never", "metadata"),
    "--allow-mmap": (None,),
    "--no-readdirplus": (None,),
    "--writeback": (None,),
    "--allow-direct-io": (None,),
    "--print-capabilities": (None,),
    "--modcaps": ("+sys_admin:-chown",),
    "--log-level": ("error", "warn", "info", "debug", "trace", "off"),
    "--syslog": (None,),
    "--rlimit-nofile": ("0", "1000"),
    "--no-killpriv-v2": (None,),
    "--killpriv-v2": (None,),
    "--security-label": (None, "never", "auto", "always"),
    "--uid-map": (":0:0:1:",),
    "--gid-map": (":0:0:1:",),
    "--translate-uid": ("guest:0:1000:1", "host:1000:0:1", "squash-guest:0:1000:10",
                        "squash-host:0:1000:10", "forbid-guest:0:10", "map:0:1000:10"),
    "--translate-gid": ("map:0:1000:10",),
    "--preserve-noatime": (None,),
    "--migration-mode": ("find-paths", "file-handles"),
    "--migration-on-error": ("abort", "guest-error"),
    "--migration-verify-handles": (None,),
    "--migration-confirm-paths": (None,),
    "--help": (None,),
    "--version": (None,),
}

SHORT = ("-o", "-d", "-f", "-h", "-V")

# The words of -o. It refuses those for locks, and takes the others that QEMU's C daemon had.
WORDS = (
    "source=x", "cache=auto", "cache=always", "cache=none", "loglevel=debug", "sandbox=chroot",
    "sandbox=namespace", "xattr", "no_xattr", "xattrmap=:map::user.virtiofs.:",
    "modcaps=+sys_admin:-chown", "writeback", "no_writeback", "readdirplus", "no_readdirplus",
    "posix_acl", "no_posix_acl", "no_posix_lock", "no_flock", "announce_submounts", "killpriv_v2",
    "no_killpriv_v2", "allow_direct_io", "no_allow_direct_io", "security_label",
    "no_security_label",
)


def forms(option):
    """The option with each of its values, as one word of a command line."""
    return [option if value is None else f"{option}={value}" for value in OPTIONS[option]]

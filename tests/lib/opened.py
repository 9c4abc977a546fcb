# SPDX-License-Identifier: BSD-2-Clause
"""What a daemon has open on the host."""
import os


def open_modes(pid, name):
    """The access modes that a process has files of a name open with."""
    modes = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            if os.path.basename(os.readlink(f"/proc/{pid}/fd/{fd}")) != name:
                continue
            with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as f:
                flags = int(f.read().split("flags:")[1].split()[0], 8)
        except FileNotFoundError:
            continue
        if not flags & os.O_PATH:
            modes.append(flags & os.O_ACCMODE)
    return sorted(modes)

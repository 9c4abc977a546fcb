# SPDX-License-Identifier: BSD-2-Clause
"""The vhost-user messages that the daemon serves, and a valid example of each."""

import os
import socket

import vu
from harness import at_end
from mem import Region
from vu import u64, vring_state

HANDLED = {
    # message: (reply without NEED_REPLY, descriptors)
    "GET_FEATURES": (True, 0), "SET_FEATURES": (False, 0), "SET_OWNER": (False, 0),
    "RESET_OWNER": (False, 0), "SET_MEM_TABLE": (False, 3), "SET_VRING_NUM": (False, 0),
    "SET_VRING_ADDR": (False, 0), "SET_VRING_BASE": (False, 0), "GET_VRING_BASE": (True, 0),
    "SET_VRING_KICK": (False, 1), "SET_VRING_CALL": (False, 1), "SET_VRING_ERR": (False, 1),
    "GET_PROTOCOL_FEATURES": (True, 0), "SET_PROTOCOL_FEATURES": (False, 0),
    "GET_QUEUE_NUM": (True, 0), "SET_VRING_ENABLE": (False, 0), "SET_BACKEND_REQ_FD": (False, 1),
    "GET_CONFIG": (True, 0), "GET_MAX_MEM_SLOTS": (True, 0), "ADD_MEM_REG": (False, 1),
    "REM_MEM_REG": (False, 0), "RESET_DEVICE": (False, 0), "SET_STATUS": (False, 0),
    "GET_STATUS": (True, 0)}
BAD = ("closed", "refused")
INDEXED = ("SET_VRING_NUM", "SET_VRING_ADDR", "SET_VRING_BASE", "GET_VRING_BASE",
           "SET_VRING_KICK", "SET_VRING_CALL", "SET_VRING_ERR", "SET_VRING_ENABLE")


def eventfd(blocking=False):
    fd = os.eventfd(0, 0 if blocking else os.EFD_NONBLOCK)
    at_end(os.close, fd)
    return fd


def extra_region():
    r = Region(0x2_0000_0000, 1 << 20)
    at_end(r.close)
    return r


def example(fe, name, queue=1):
    """A valid message of this name for queue: payload and descriptors."""
    ring = fe.queues.get(queue) or fe.add_queue(queue)
    at = fe.mem.uva
    if name in ("SET_MEM_TABLE",):
        return vu.mem_table(fe.mem.regions), [r.fd for r in fe.mem.regions]
    if name in ("ADD_MEM_REG", "REM_MEM_REG"):
        r = extra_region()
        if name == "ADD_MEM_REG":
            return vu.mem_reg(r), [r.fd]
        fe.send(vu.ADD_MEM_REG, vu.mem_reg(r), [r.fd])
        return vu.mem_reg(r), []
    return {
        "SET_FEATURES": lambda: (u64(vu.F_ALL), []),
        "SET_PROTOCOL_FEATURES": lambda: (u64(fe.protocol or vu.P_ALL), []),
        "SET_VRING_NUM": lambda: (vring_state(queue, ring.size), []),
        "SET_VRING_ADDR": lambda: (vu.vring_addr(queue, at(ring.desc_at), at(ring.used_at),
                                                 at(ring.avail_at)), []),
        "SET_VRING_BASE": lambda: (vring_state(queue, 0), []),
        "GET_VRING_BASE": lambda: (vring_state(queue, 0), []),
        "SET_VRING_KICK": lambda: (u64(queue), [ring.kick_fd]),
        "SET_VRING_CALL": lambda: (u64(queue), [ring.call_fd]),
        "SET_VRING_ERR": lambda: (u64(queue), [ring.err_fd]),
        "SET_VRING_ENABLE": lambda: (vring_state(queue, 1), []),
        "SET_STATUS": lambda: (u64(15), []),
        "SET_BACKEND_REQ_FD": lambda: (b"", [socket_end()]),
        "GET_CONFIG": lambda: (vu.config_request(), []),
    }.get(name, lambda: (b"", []))()


def socket_end():
    a, b = socket.socketpair()
    at_end(a.close)
    at_end(b.close)
    return a.fileno()

"""Becomes another program, as another user if told so, that is signalled when its parent dies (Linux).

Run as a script under ``python -I -S``: ``launch.py PARENT_PID SIGNAL IDENTITY PROGRAM ARGS...``. IDENTITY is ``-``
(as we are), ``UID:GID`` (drop root for good) or ``namespace:UID:GID`` (appear as that user inside a user
namespace while files are still reached with our own rights). Between fork and exec a Python program may safely do
almost nothing, so this is a program of its own in place of a ``preexec_fn``.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER = 0x10000000


def enter_namespace(uid: int, gid: int) -> None:
    """Map our user and group to ``uid`` and ``gid`` in a new user namespace. Raises ``OSError``."""
    effective_uid, effective_gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {effective_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {effective_gid} 1")


def become(identity: str) -> None:
    """Take on an identity as described above. Raises ``OSError`` or ``ValueError``."""
    if identity == "-":
        return
    *namespace, uid, gid = identity.split(":")
    if namespace:
        enter_namespace(int(uid), int(gid))
        return
    os.setgroups([])
    os.setgid(int(gid))
    os.setuid(int(uid))


def main(argv: list[str]) -> None:
    """Run the program in ``argv[3:]``; does not return."""
    parent, signal_number, identity = int(argv[0]), int(argv[1]), argv[2]
    become(identity)
    # After the change of user: the kernel forgets the setting when credentials change.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent is gone")
    if len(argv) > 3:
        os.execv(argv[3], argv[3:])  # noqa: S606 - to become the program is the point


if __name__ == "__main__":
    main(sys.argv[1:])

"""Which user the engines run as. PostgreSQL refuses to be root, so root lends it a user of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from auto_insurance.infra.embedded.errors import EmbeddedError

SYSTEM_USER = "embedded_postgres"
LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True, slots=True)
class RunAs:
    """An identity for a child process; ``uid`` None means our own.

    With ``namespace`` the child sees itself as ``uid`` while its files belong to us: the way out when a folder on
    the way to the data is closed to other users.
    """

    uid: int | None = None
    gid: int | None = None
    namespace: bool = False

    @property
    def owner(self) -> tuple[int, int]:
        """User and group that the files of the child must belong to."""
        if self.uid is None or self.gid is None or self.namespace:
            return os.geteuid(), os.getegid()
        return self.uid, self.gid

    def word(self) -> str:
        """The identity as ``launch.py`` reads it."""
        if self.uid is None:
            return "-"
        return f"{'namespace:' if self.namespace else ''}{self.uid}:{self.gid}"


OURSELVES = RunAs()


def choose(paths: Sequence[Path]) -> RunAs:
    """Return whom to run an engine as that has to reach all ``paths`` (existing folders).

    Raises :class:`EmbeddedError` when we are root and no way is found; it names the folder and the remedy.
    """
    if os.geteuid() != 0:
        return OURSELVES
    account = _account()
    blocked = first_blocked(paths, account.pw_uid, account.pw_gid)
    if blocked is None:
        return RunAs(account.pw_uid, account.pw_gid)
    fallback = RunAs(account.pw_uid, account.pw_gid, namespace=True)
    if namespaces_work(fallback):
        return fallback
    raise EmbeddedError(
        f"PostgreSQL does not run as root; it runs as the user '{SYSTEM_USER}', who may not enter {blocked}. "
        f"Allow it with: chmod o+x {blocked}  - or choose a data directory elsewhere with --data-dir, such as "
        "/var/lib/auto-insurance, or start as a plain user."
    )


def first_blocked(paths: Sequence[Path], uid: int, gid: int) -> Path | None:
    """Return the first folder on the way to any of ``paths`` that the user may not enter, or None.

    The last folder of each path counts only when it belongs to somebody else than us: ours is handed over.
    """
    for path in paths:
        resolved = path.resolve()
        for folder in [*reversed(resolved.parents), resolved]:
            if not _may_enter(folder, uid, gid):
                return folder
    return None


def _may_enter(folder: Path, uid: int, gid: int) -> bool:
    status = folder.stat()
    if status.st_uid == uid:
        return bool(status.st_mode & 0o100)
    if status.st_gid == gid:
        return bool(status.st_mode & 0o010)
    return bool(status.st_mode & 0o001)


def namespaces_work(run_as: RunAs) -> bool:
    """Return whether this kernel lets us make a user namespace (containers often forbid it)."""
    if sys.platform != "linux":
        return False
    probe = [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), "9", run_as.word()]
    return subprocess.run(probe, capture_output=True, check=False, timeout=10).returncode == 0


def give(path: Path, run_as: RunAs) -> None:
    """Make ``path`` and all below belong to the identity; only does work when the owner differs."""
    owner = run_as.owner
    if path.stat().st_uid == owner[0] or os.geteuid() != 0:
        return
    # Children first: an interrupted run leaves the top with its old owner and is repeated.
    for child in sorted(path.rglob("*"), reverse=True):
        os.chown(child, *owner, follow_symlinks=False)
    os.chown(path, *owner)


def _account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
        if useradd is None:
            raise EmbeddedError(
                f"PostgreSQL does not run as root and the user '{SYSTEM_USER}' cannot be made: there is no "
                f"'useradd' here. Make that user by hand (adduser -S {SYSTEM_USER}), or start as a plain user."
            ) from None
    made = subprocess.run(
        [useradd, "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER],
        capture_output=True,
        check=False,
        timeout=30,
    )
    try:
        return pwd.getpwnam(SYSTEM_USER)  # another process may have made it at the same moment
    except KeyError:
        reason = made.stderr.decode(errors="replace").strip()
        raise EmbeddedError(f"The user '{SYSTEM_USER}' for PostgreSQL cannot be made: {reason}") from None

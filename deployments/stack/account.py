"""Whom a database runs as: PostgreSQL refuses root, and Redis needs none of its rights."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from stage1_core.errors import Stage1Error

CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """An account without rights that this process, which is root's, can change to."""

    name: str
    user: int
    group: int

    def can_enter(self, folder: Path) -> bool:
        """Whether the account may read ``folder``, which depends on every folder above it."""
        tried = subprocess.run(
            ["test", "-r", str(folder), "-a", "-x", str(folder)],
            user=self.user, group=self.group, extra_groups=[], check=False,
        )  # fmt: skip
        return tried.returncode == 0


def account_for(folder: Path) -> Account | None:
    """Give ``folder`` to an account that databases accept; None where this process's own is one.

    Raises `Stage1Error` when this process is root's and no such account can reach the folder.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.geteuid() != 0:
        return None
    for account in _existing():
        os.chown(folder, account.user, account.group)
        if account.can_enter(folder):
            return account
    os.chown(folder, 0, 0)
    raise Stage1Error(
        f"PostgreSQL does not run as root, and neither of {', '.join(CANDIDATES)} can reach {folder}; "
        "choose a workspace whose parent folders everybody may enter, or start as another user"
    )


def _existing() -> list[Account]:
    found = []
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        found.append(Account(name, entry.pw_uid, entry.pw_gid))
    return found

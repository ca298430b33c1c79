"""What became of one object, and how two versions of one differ."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from stage1_core.config import FrozenModel

Kind = Literal["pool", "queue", "limit", "webhook", "deployment", "automation"]


class Change(FrozenModel):
    """One line of the answer of `stage1 deploy`."""

    kind: Kind
    name: str
    outcome: Literal["created", "updated", "unchanged", "stale", "removed"]
    """Of a dry run: what would be done. Stale: there and not described any more."""
    what: tuple[str, ...] = ()
    """What was updated."""

    @property
    def pending(self) -> bool:
        """Whether server and plan differ here, or differed."""
        return self.outcome in ("created", "updated")


@dataclass(frozen=True, slots=True)
class Stale:
    """Something of this project that is not described any more."""

    kind: Kind
    name: str
    remove: Callable[[], Awaitable[object]]


def differing(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of what is not as ``wanted``."""
    return tuple(name for name, value in wanted.items() if there.get(name) != value)


def compared(kind: Kind, name: str, differences: tuple[str, ...]) -> Change:
    """The change of an object that was there before."""
    return Change(kind=kind, name=name, outcome="updated" if differences else "unchanged", what=differences)

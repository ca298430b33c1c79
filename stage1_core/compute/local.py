"""This process."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Literal, TypeVar

from stage1_core.config import FrozenModel

Item = TypeVar("Item")
Result = TypeVar("Result")


class LocalCompute(FrozenModel):
    """One item after the other, here; what is done for an item may use threads of its own."""

    kind: Literal["local"] = "local"

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
        """``function`` of each item in order, each computed when it is asked for."""
        yield from map(function, items)


HERE = LocalCompute()

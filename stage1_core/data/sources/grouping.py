"""Groups that are read from picture names."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator

from stage1_core.data.sources.source import count


def _one_group(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    if groups != 1:
        raise ValueError(f"{pattern!r} has {groups} pairs of parentheses; put exactly one around the group's key")
    return pattern


GroupPattern = Annotated[str, AfterValidator(_one_group)]
"""A regular expression, searched in a picture's relative path, with one pair of parentheses around the group's key."""


def groups_by_pattern(names: Sequence[str], pattern: str) -> tuple[list[str], tuple[str, ...]]:
    """The key that ``pattern`` finds in each name, "" where it finds none, and a remark that counts those."""
    found = [match[1] or "" if (match := re.search(pattern, name)) else "" for name in names]
    missed = found.count("")
    if missed == 0:
        return found, ()
    example = names[found.index("")]
    remark = f"group_pattern {pattern!r} finds no group in {count(missed, 'picture')}, such as {example}"
    return found, (f"{remark}; each is a group of its own",)


def roboflow_ancestor(name: str) -> str:
    """The picture that an augmented copy ``<ancestor>.rf.<hash>.jpg`` was made from; "" for any other name."""
    stem, mark, _ = os.path.basename(name).rpartition(".rf.")  # noqa: PTH119
    return stem if mark else ""


def all_but_last_field(name: str) -> str:
    """What stands before the last ``_`` of the file name: a frame's sequence or track; "" where there is no ``_``."""
    return os.path.basename(name).rpartition("_")[0]  # noqa: PTH119

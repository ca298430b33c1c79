"""References to stored artifacts. Lineage is data: which rows made something is a function over references."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Self

from pydantic import Field, model_validator

from stage1_core.config import FrozenModel
from stage1_core.errors import SplitUseError
from stage1_core.splits import READABLE_FOR, Purpose

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ArtifactKind(StrEnum):
    """What an artifact is; also the name of its folder in the store."""

    SAMPLES = "samples"
    AUDIT = "audit"
    LEDGER = "ledger"
    BACKBONE = "backbone"
    ADAPTER = "adapter"
    FEATURES = "features"
    HEAD = "head"
    CHECKPOINT = "checkpoint"
    CALIBRATORS = "calibrators"
    PREDICTIONS = "predictions"
    POLICY = "policy"
    EVALUATION = "evaluation"
    COMPARISON = "comparison"
    ACCEPTANCE = "acceptance"
    METRICS = "metrics"
    FIGURES = "figures"
    REPORT = "report"
    MONITORING = "monitoring"
    EXPORT = "export"
    BUNDLE = "bundle"


class ArtifactRef(FrozenModel):
    """A stored file or folder, what it was made from, and which rows were read on the way."""

    kind: ArtifactKind
    path: str
    """Relative to the store's root, POSIX separators."""
    sha256: Sha256
    """Digest of the stored tree: relative paths and contents."""
    inputs: tuple[Sha256, ...] = ()
    """Digests of the artifacts it was made from."""
    purposes: tuple[Purpose, ...] = ()
    """What rows were read for to make it and everything it was made from; sorted, without repeats."""

    @model_validator(mode="after")
    def _stays_inside(self) -> Self:
        path = PurePosixPath(self.path)
        if not self.path or path.is_absolute() or ".." in path.parts or "\\" in self.path:
            raise ValueError(f"path {self.path!r} must be relative and must not climb out of the store")
        return self


def reads(*refs: ArtifactRef) -> tuple[Purpose, ...]:
    """Every purpose that rows were read for to make ``refs``, in the order of `Purpose`."""
    found = {purpose for ref in refs for purpose in ref.purposes}
    return tuple(purpose for purpose in Purpose if purpose in found)


def require_untouched(refs: Iterable[ArtifactRef], purpose: Purpose) -> None:
    """Raise `SplitUseError` if a row that ``purpose`` reads was used to make any of ``refs``.

    Rows count, not names: both halves of VAL_CALIB are touched by a purpose that reads the whole.
    """
    kept_apart = READABLE_FOR[purpose]
    for ref in refs:
        for used in ref.purposes:
            rows = READABLE_FOR[used]
            if rows.split is kept_apart.split and (rows.half is kept_apart.half or not (rows.half and kept_apart.half)):
                where = f"{rows.split}" if rows.half is None else f"{rows.split} ({rows.half} half)"
                raise SplitUseError(
                    f"{ref.kind} {ref.path} was made with {where} rows, read for {used}; "
                    f"rows for {purpose} must not have been seen before: make it again without them"
                )

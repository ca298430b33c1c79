"""How the data is cut into train, val_select, val_calib and val_test."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from stage1_core.config import FrozenModel
from stage1_core.splits import Split

Share = Annotated[float, Field(gt=0, lt=1)]
Seed = Annotated[int, Field(ge=0)]


class CutValidation(FrozenModel):
    """Rows of role "train" train; rows of role "val" are cut into select, calib and test."""

    cut_role: ClassVar[str] = "val"

    kind: Literal["cut_validation"] = "cut_validation"
    seed: Seed = 0
    """Another seed gives another cut. It does not make pictures unseen that were looked at under an earlier one."""
    select: Share = 0.33
    """Fraction of the validation rows that models are selected on."""
    calib: Share = 0.33
    """Fraction of the validation rows that calibrators (one half) and certificates (the other) get."""
    test: Share = 0.34
    """Fraction of the validation rows for the final evaluation."""

    @model_validator(mode="after")
    def _shares_are_whole(self) -> Self:
        _check_whole(self.shares())
        return self

    def shares(self) -> dict[Split, Fraction]:
        """Exact fraction of the cut rows for each split, as the decimals were written."""
        return {
            Split.VAL_SELECT: _exact(self.select),
            Split.VAL_CALIB: _exact(self.calib),
            Split.VAL_TEST: _exact(self.test),
        }


class CutPool(FrozenModel):
    """Rows of role "pool" are cut into all four splits; rows of role "train" only train."""

    cut_role: ClassVar[str] = "pool"

    kind: Literal["cut_pool"] = "cut_pool"
    seed: Seed = 0
    """Another seed gives another cut. It does not make pictures unseen that were looked at under an earlier one."""
    train: Share = 0.5
    """Fraction of the pool that weights are fitted on."""
    select: Share = 0.15
    """Fraction of the pool that models are selected on."""
    calib: Share = 0.2
    """Fraction of the pool that calibrators (one half) and certificates (the other) get."""
    test: Share = 0.15
    """Fraction of the pool for the final evaluation."""

    @model_validator(mode="after")
    def _shares_are_whole(self) -> Self:
        _check_whole(self.shares())
        return self

    def shares(self) -> dict[Split, Fraction]:
        """Exact fraction of the cut rows for each split, as the decimals were written."""
        return {
            Split.TRAIN: _exact(self.train),
            Split.VAL_SELECT: _exact(self.select),
            Split.VAL_CALIB: _exact(self.calib),
            Split.VAL_TEST: _exact(self.test),
        }


SplitConfig = Annotated[CutValidation | CutPool, Field(discriminator="kind")]


def _exact(share: float) -> Fraction:
    """The decimal number that ``share`` was written as: cutting rows must not depend on binary rounding."""
    return Fraction(str(share))


def _check_whole(shares: dict[Split, Fraction]) -> None:
    total = sum(shares.values())
    if not math.isclose(total, 1, abs_tol=1e-6):
        written = " + ".join(str(float(share)) for share in shares.values())
        raise ValueError(f"the shares {written} add up to {float(total):g}, they must add up to 1")

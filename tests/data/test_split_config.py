from __future__ import annotations

from fractions import Fraction

import pytest
from pydantic import TypeAdapter, ValidationError

from stage1_core.data.split_config import CutPool, CutValidation, SplitConfig
from stage1_core.splits import Split


def test_validation_is_cut_33_33_34_unless_told_otherwise() -> None:
    shares = CutValidation().shares()
    assert shares == {
        Split.VAL_SELECT: Fraction(33, 100),
        Split.VAL_CALIB: Fraction(33, 100),
        Split.VAL_TEST: Fraction(34, 100),
    }


def test_a_pool_is_cut_into_all_four_splits() -> None:
    assert list(CutPool().shares()) == list(Split)
    assert sum(CutPool().shares().values()) == 1


def test_shares_that_do_not_add_up_are_refused_with_their_sum() -> None:
    with pytest.raises(ValidationError, match=r"0.33 \+ 0.33 \+ 0.4 add up to 1.06"):
        CutValidation(test=0.4)


def test_thirds_as_people_write_them_are_accepted() -> None:
    CutValidation(select=0.3333333, calib=0.3333333, test=0.3333333)


def test_the_kind_tells_the_configs_apart() -> None:
    adapter = TypeAdapter(SplitConfig)
    for config in (CutPool(seed=3), CutValidation(seed=4)):
        assert adapter.validate_json(config.to_json()) == config

from __future__ import annotations

import numpy as np
import pytest

from stage1_core.errors import SplitUseError
from stage1_core.splits import CERTIFYING, READABLE_FOR, Half, Purpose, Readable, Split
from tests.toys import make_predictions


def test_every_purpose_reads_exactly_one_split():
    assert set(READABLE_FOR) == set(Purpose)


def test_every_split_has_a_purpose():
    assert {readable.split for readable in READABLE_FOR.values()} == set(Split)


def test_calibrators_and_certificates_read_different_halves():
    assert READABLE_FOR[Purpose.FIT_CALIBRATOR] == Readable(Split.VAL_CALIB, Half.FIT)
    assert READABLE_FOR[Purpose.CERTIFY_POLICY] == Readable(Split.VAL_CALIB, Half.CERTIFY)


def test_certifying_purposes_read_only_the_calibration_split():
    assert {READABLE_FOR[purpose].split for purpose in CERTIFYING} == {Split.VAL_CALIB}


def test_only_the_final_evaluation_reads_the_test_split():
    readers = [purpose for purpose, readable in READABLE_FOR.items() if readable.split is Split.VAL_TEST]
    assert readers == [Purpose.FINAL_EVALUATION]


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        READABLE_FOR[Purpose.FIT_WEIGHTS] = Readable(Split.VAL_TEST)  # type: ignore[index]


@pytest.mark.parametrize("purpose", list(Purpose))
def test_rows_serve_their_own_purpose_and_no_other(purpose: Purpose, rng: np.random.Generator):
    rows = make_predictions(rng, 4, purpose=purpose)
    rows.require(purpose)
    others = [other for other in Purpose if other is not purpose]
    with pytest.raises(SplitUseError, match=f"rows read for {purpose} cannot be used here"):
        rows.require(*others)

from __future__ import annotations

import itertools

import pytest
from pydantic import ValidationError

from stage1_core.bundle.artifact import ArtifactKind, ArtifactRef, reads, require_untouched
from stage1_core.errors import SplitUseError
from stage1_core.splits import Purpose

SAME_ROWS = {
    frozenset({Purpose.FIT_CALIBRATOR, Purpose.CERTIFY_UNCALIBRATED_POLICY}),
    frozenset({Purpose.CERTIFY_POLICY, Purpose.CERTIFY_UNCALIBRATED_POLICY}),
}


def ref(*purposes: Purpose) -> ArtifactRef:
    return ArtifactRef(kind=ArtifactKind.POLICY, path="policy/0", sha256="0" * 64, purposes=purposes)


@pytest.mark.parametrize(("used", "kept"), list(itertools.product(Purpose, Purpose)))
def test_rows_of_a_purpose_touch_exactly_those_purposes_that_read_the_same_rows(used, kept):
    if used is kept or frozenset({used, kept}) in SAME_ROWS:
        with pytest.raises(SplitUseError, match=f"read for {used}; rows for {kept}"):
            require_untouched([ref(used)], kept)
    else:
        require_untouched([ref(used)], kept)


def test_one_touched_artifact_among_many_is_found():
    with pytest.raises(SplitUseError, match="val_test"):
        require_untouched([ref(), ref(Purpose.FIT_WEIGHTS), ref(Purpose.FINAL_EVALUATION)], Purpose.FINAL_EVALUATION)


def test_reads_unites_purposes_in_a_fixed_order():
    late, early = ref(Purpose.FINAL_EVALUATION), ref(Purpose.SELECT_MODEL, Purpose.FIT_WEIGHTS)
    expected = (Purpose.FIT_WEIGHTS, Purpose.SELECT_MODEL, Purpose.FINAL_EVALUATION)
    assert reads(late, early) == reads(early, late, late) == expected


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../other", "policy/../../x", "policy\\..\\x"])
def test_a_path_that_leaves_the_store_is_refused(path):
    with pytest.raises(ValidationError, match="path"):
        ArtifactRef(kind=ArtifactKind.POLICY, path=path, sha256="0" * 64)

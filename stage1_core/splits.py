"""Who may read which rows: the one table from purpose to split."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple


class Split(StrEnum):
    """The four disjoint parts of the data. No group of samples lies in two of them."""

    TRAIN = "train"
    VAL_SELECT = "val_select"
    VAL_CALIB = "val_calib"
    VAL_TEST = "val_test"


class Half(StrEnum):
    """The two halves of VAL_CALIB: calibrators are fitted on one, policies certified on the other."""

    FIT = "fit"
    CERTIFY = "certify"


class Purpose(StrEnum):
    """What rows are read for. Callers name a purpose; they cannot name a split."""

    FIT_WEIGHTS = "fit_weights"
    SELECT_MODEL = "select_model"
    FIT_CALIBRATOR = "fit_calibrator"
    CERTIFY_POLICY = "certify_policy"
    CERTIFY_UNCALIBRATED_POLICY = "certify_uncalibrated_policy"
    """For policies whose scores were fitted on no row of VAL_CALIB: they certify on both halves."""
    FINAL_EVALUATION = "final_evaluation"


class Readable(NamedTuple):
    """The rows of one split, or of one half of VAL_CALIB."""

    split: Split
    half: Half | None = None


READABLE_FOR: Mapping[Purpose, Readable] = MappingProxyType(
    {
        Purpose.FIT_WEIGHTS: Readable(Split.TRAIN),
        Purpose.SELECT_MODEL: Readable(Split.VAL_SELECT),
        Purpose.FIT_CALIBRATOR: Readable(Split.VAL_CALIB, Half.FIT),
        Purpose.CERTIFY_POLICY: Readable(Split.VAL_CALIB, Half.CERTIFY),
        Purpose.CERTIFY_UNCALIBRATED_POLICY: Readable(Split.VAL_CALIB),
        Purpose.FINAL_EVALUATION: Readable(Split.VAL_TEST),
    }
)
"""The only place where a purpose is turned into rows."""

CERTIFYING: frozenset[Purpose] = frozenset({Purpose.CERTIFY_POLICY, Purpose.CERTIFY_UNCALIBRATED_POLICY})
"""Purposes whose rows may decide a certificate."""

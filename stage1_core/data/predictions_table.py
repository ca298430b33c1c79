"""Predictions that somebody brings along, checked down to the value: with labels, or the scores alone."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from stage1_core.data.prediction_columns import PAIRS, PredictionColumns, read_columns
from stage1_core.errors import DataError
from stage1_core.predictions import Float, Integer, Predictions, Scores, Text

ONE_SOURCE = "all"
"""Source of rows that name none."""

_NEARLY_CERTAIN = 0.999_999
"""Above this probability only the less likely class has the digits that its logit needs."""

_DIGITS = 15
"""Decimal digits of a probability that a float holds for certain."""

_HOW_TO_SCORE = "logit_0 and logit_1, or logit, or probability"


class ScoredRows(NamedTuple):
    """What a model says about ``n`` rows, and their labels where these are known."""

    scores: Scores
    labels: Integer | None
    """``(n,)`` 0 or 1; None where the file has no labels, or not for all rows."""


def read_predictions(path: Path, *, numbered: str = "") -> Predictions:
    """Labelled predictions of anybody's model.

    Needs ``label`` (0 or 1) and one kind of score: ``logit_0`` and ``logit_1``, ``logit`` (of P(roadwork)), or
    ``probability`` (of roadwork, strictly between 0 and 1). May have ``id``, ``group``, ``source``, ``gate_logit``,
    ``aux_logit_0`` and ``aux_logit_1``; in .npz files also ``logits`` and ``aux_logits`` of shape ``(n, 2)``, and what
    `Predictions.save` writes. Rows without id are numbered from 1, behind the word ``numbered``, which keeps the rows
    of two files apart; rows without group are a group each. The purpose is FINAL_EVALUATION where the file does not say
    another. Raises `DataError` naming the column, value and row that is wrong.
    """
    table = read_columns(path)
    if "label" not in table.columns:
        found = ", ".join(table.found) or "none"
        raise DataError(f"{path} has no column label (0 or 1); columns found: {found}. Add it")
    labels = _labels(table)
    scores = _scores(table, numbered)
    return Predictions(table.purpose, scores, labels, _groups(table, scores.ids), _sources(table))


def read_scores(path: Path) -> ScoredRows:
    """Scores of anybody's model, from a file as `read_predictions` reads it; ``label`` may be absent or unknown.

    Raises `DataError` naming the column, value and row that is wrong.
    """
    table = read_columns(path)
    scores = _scores(table)
    known = "label" in table.columns and bool(
        np.isin(pd.to_numeric(table.columns["label"], errors="coerce"), (0, 1)).all()
    )
    return ScoredRows(scores, _labels(table) if known else None)


def _scores(table: PredictionColumns, numbered: str = "") -> Scores:
    ids = _ids(table, numbered)
    logits = _logits(table)
    gate = table.numbers("gate_logit") if "gate_logit" in table.columns else None
    return Scores(ids, logits, gate, aux_logits=_pair(table, *PAIRS["aux_logits"]))


def _labels(table: PredictionColumns) -> Integer:
    values = table.numbers("label")
    table.refuse("label", ~np.isin(values, (0, 1)), "must be 0 or 1, where 1 is the positive class (roadwork)")
    return values.astype(np.int64)


def _logits(table: PredictionColumns) -> Float:
    """``(n, 2)`` from whichever kind of score there is."""
    kinds = {"logit_0": "logit_0 and logit_1", "logit_1": "logit_0 and logit_1"}
    given = sorted(
        {kinds.get(name, name) for name in ("logit_0", "logit_1", "logit", "probability") if name in table.columns}
    )
    if len(given) != 1:
        have = (
            f"scores of {len(given)} kinds: {'; '.join(given)}. Keep one"
            if given
            else f"no scores: add {_HOW_TO_SCORE}"
        )
        raise DataError(f"{table.path} has {have} (columns found: {', '.join(table.found) or 'none'})")
    pair = _pair(table, *PAIRS["logits"])
    if pair is not None:
        return pair
    margin = table.numbers("logit") if "logit" in table.columns else _logit(table)
    return np.stack([-margin / 2, margin / 2], axis=1)


def _pair(table: PredictionColumns, zero: str, one: str) -> Float | None:
    missing = [name for name in (zero, one) if name not in table.columns]
    if len(missing) == 2:
        return None
    if missing:
        raise DataError(f"{table.path} has one of {zero} and {one}; add {missing[0]}: both are needed")
    return np.stack([table.numbers(zero), table.numbers(one)], axis=1)


def _logit(table: PredictionColumns) -> Float:
    """``(n,)`` logits of probabilities; p and 1 - p tie, and a probability equal to a threshold still reaches it.

    Left alone, 1 - p is not the number that its digits say, and the way through the logit and back loses some units in
    the last place, downwards in one of seven cases.
    """
    probability = table.numbers("probability")
    outside = (probability < 0) | (probability > 1)
    table.refuse("probability", outside, "must lie between 0 and 1; a logit goes into a column logit")
    certain = (probability == 0) | (probability == 1)
    table.refuse(
        "probability", certain, "would be an infinite logit; give logits, or write the probability with more digits"
    )
    size: Float = np.abs(logit(probability))
    likelier = np.round(np.maximum(probability, 1 - probability), _DIGITS)
    plain = likelier <= _NEARLY_CERTAIN
    size[plain] = logit(likelier[plain])
    short = plain & (expit(size) < likelier)
    size[short] += 2 * np.finfo(np.float64).eps / (likelier * (1 - likelier))[short]
    return np.where(probability >= 0.5, size, -size)


def _ids(table: PredictionColumns, numbered: str) -> Text:
    if "id" not in table.columns:
        return np.char.add(numbered, np.arange(1, len(table) + 1).astype(np.str_))
    ids = table.text("id")
    table.refuse("id", ids == "", "must name the row; fill it in, or leave the whole column out")
    repeated = pd.Series(ids).duplicated().to_numpy()
    if repeated.any():
        second = int(repeated.argmax())
        first = int((ids == ids[second]).argmax())
        table.refuse("id", repeated, f"is also that of {table.place(first)}; ids must be unique: rename or drop a row")
    return ids


def _groups(table: PredictionColumns, ids: Text) -> Text:
    if "group" not in table.columns:
        return ids
    groups = table.text("group")
    return np.where(groups == "", np.char.add("only ", ids), groups)


def _sources(table: PredictionColumns) -> Text:
    if "source" not in table.columns:
        return np.full(len(table), ONE_SOURCE)
    sources = table.text("source")
    return np.where(sources == "", ONE_SOURCE, sources)

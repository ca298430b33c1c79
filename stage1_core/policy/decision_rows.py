"""Decisions as rows of text, one for each id: CSV, or one JSON object a line."""

from __future__ import annotations

import csv
import json
from typing import TextIO

import numpy as np

from stage1_core.predictions import Decisions, Text

FIELDS = ("id", "exited", "label", "prediction_set")

_LABELS = (0, 1, None)
_SETS = ((0,), (1,), (0, 1))


def write_csv(ids: Text, decisions: Decisions, file: TextIO) -> None:
    """Comma-separated, one header line: ``(n,)`` ids, whether they exit, the label or nothing, the classes left."""
    rest = [(label is not None, label, " ".join(map(str, left))) for label, left in zip(_LABELS, _SETS, strict=True)]
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(FIELDS)
    writer.writerows((name, *rest[kind]) for name, kind in zip(ids.tolist(), _kinds(decisions), strict=True))


def write_jsonl(ids: Text, decisions: Decisions, file: TextIO) -> None:
    """One JSON object a line, with the fields of `write_csv`; no label is null, the classes left are a list."""
    rest = [
        json.dumps({"exited": label is not None, "label": label, "prediction_set": left})[1:]
        for label, left in zip(_LABELS, _SETS, strict=True)
    ]
    file.writelines(
        f'{{"id": {json.dumps(name, ensure_ascii=False)}, {rest[kind]}\n'
        for name, kind in zip(ids.tolist(), _kinds(decisions), strict=True)
    )


def _kinds(decisions: Decisions) -> list[int]:
    """``n`` positions in `_LABELS` and `_SETS`."""
    kinds: list[int] = np.where(decisions.exited, decisions.label, 2).tolist()
    return kinds

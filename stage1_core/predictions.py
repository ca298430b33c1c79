"""The values that models, policies and metrics exchange: scores, labelled predictions, decisions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from stage1_core.digests import digest_of_bytes
from stage1_core.errors import SplitUseError, Stage1Error
from stage1_core.splits import Purpose

Float = NDArray[np.float64]
Integer = NDArray[np.int64]
Boolean = NDArray[np.bool_]
Text = NDArray[np.str_]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a model says about ``n`` pictures. This is all that production has, so policies decide from it alone."""

    ids: Text
    """``(n,)`` picture ids, unique."""
    logits: Float
    """``(n, 2)`` class logits; column 1 is "roadwork"."""
    gate_logits: Float | None = None
    """``(n,)`` logits of "the class decision is right"; absent where the head has no gate."""
    aux_logits: Float | None = None
    """``(n, 2)`` class logits of the auxiliary output, stage B; absent where the head has none."""

    def __post_init__(self) -> None:
        n = len(self.ids)
        if self.logits.shape != (n, 2):
            raise Stage1Error(f"logits have shape {self.logits.shape}, expected ({n}, 2): one row per id")
        if self.gate_logits is not None and self.gate_logits.shape != (n,):
            raise Stage1Error(f"gate_logits have shape {self.gate_logits.shape}, expected ({n},)")
        if self.aux_logits is not None and self.aux_logits.shape != (n, 2):
            raise Stage1Error(f"aux_logits have shape {self.aux_logits.shape}, expected ({n}, 2)")
        _require_text(ids=self.ids)
        finite = np.isfinite(self.logits).all(axis=1)
        if self.gate_logits is not None:
            finite &= np.isfinite(self.gate_logits)
        if self.aux_logits is not None:
            finite &= np.isfinite(self.aux_logits).all(axis=1)
        if not finite.all():
            bad = ", ".join(self.ids[~finite][:3])
            raise Stage1Error(f"logits of {bad} are not finite; the model is broken, do not use it")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def margin_logits(self) -> Float:
        """``(n,)`` logit of P(roadwork): the difference of the two class logits."""
        logits = self.logits.astype(np.float64, copy=False)
        margin: Float = logits[:, 1] - logits[:, 0]
        return margin

    @property
    def likelier_class(self) -> Integer:
        """``(n,)`` the class decision, 0 or 1; a tie is a 1."""
        return (self.margin_logits >= 0).astype(np.int64)

    @property
    def confidence(self) -> Float:
        """``(n,)`` probability of the likelier class, in [0.5, 1]."""
        likelier: Float = expit(np.abs(self.margin_logits))
        return likelier

    @property
    def aux_likelier_class(self) -> Integer | None:
        """``(n,)`` the class that the auxiliary output names, 0 or 1; a tie is a 1."""
        if self.aux_logits is None:
            return None
        return (self.aux_logits[:, 1] >= self.aux_logits[:, 0]).astype(np.int64)

    def take(self, rows: Integer | Boolean) -> Scores:
        """The given rows, by index or mask."""
        gate = None if self.gate_logits is None else self.gate_logits[rows]
        auxiliary = None if self.aux_logits is None else self.aux_logits[rows]
        return Scores(self.ids[rows], self.logits[rows], gate, auxiliary)


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Scores with the labels of the rows of one purpose."""

    purpose: Purpose
    scores: Scores
    labels: Integer
    """``(n,)`` true class, 0 or 1."""
    groups: Text
    """``(n,)`` group of each row: pictures of one group (scene, video, near duplicates) are not independent."""
    sources: Text
    """``(n,)`` name of the data source of each row."""

    def __post_init__(self) -> None:
        n = len(self.scores)
        for name, column in (("labels", self.labels), ("groups", self.groups), ("sources", self.sources)):
            if column.shape != (n,):
                raise Stage1Error(f"{name} have shape {column.shape}, expected ({n},): one entry per score")
        _require_text(groups=self.groups, sources=self.sources)
        if not np.isin(self.labels, (0, 1)).all():
            raise Stage1Error(f"labels must be 0 or 1, found {sorted(set(self.labels.tolist()))}")

    def __len__(self) -> int:
        return len(self.scores)

    def require(self, *purposes: Purpose) -> None:
        """Raise `SplitUseError` unless these rows were read for one of ``purposes``."""
        if self.purpose not in purposes:
            wanted = " or ".join(purposes)
            raise SplitUseError(f"rows read for {self.purpose} cannot be used here; this step needs {wanted} rows")

    def take(self, rows: Integer | Boolean) -> Predictions:
        """The given rows, by index or mask."""
        return Predictions(
            self.purpose, self.scores.take(rows), self.labels[rows], self.groups[rows], self.sources[rows]
        )

    def independent(self, *, across_labels: bool = False) -> Predictions:
        """The rows at `independent_rows`; these very rows where all are independent."""
        rows = self.independent_rows(across_labels=across_labels)
        return self if len(rows) == len(self) else self.take(rows)

    def independent_rows(self, *, across_labels: bool = False) -> Integer:
        """Ascending indices of one row for each (group, label), or group: that whose id has the smallest sha256.

        Binomial certificates need independent rows, and frames of one drive are not. A risk that is counted among the
        rows of one label may take a row of each label from a group. One that pools the labels may not: it would count a
        group twice, and another mix of labels than new pictures have. The choice looks at ids only, never at scores, so
        it cannot favour a policy.
        """
        labels = np.zeros_like(self.labels) if across_labels else self.labels
        keys = list(zip(self.groups.tolist(), labels.tolist(), strict=True))
        if len(set(keys)) == len(keys):
            return np.arange(len(self))
        smallest: dict[tuple[str, int], tuple[str, int]] = {}
        for row, (key, name) in enumerate(zip(keys, self.scores.ids.tolist(), strict=True)):
            candidate = (digest_of_bytes(name.encode()), row)
            smallest[key] = min(candidate, smallest.get(key, candidate))
        return np.array(sorted(row for _, row in smallest.values()), dtype=np.int64)

    def save(self, path: Path) -> None:
        """Write a compressed ``.npz`` without pickled objects."""
        scores = self.scores
        arrays = {
            "purpose": np.array(self.purpose.value),
            "ids": scores.ids,
            "logits": scores.logits,
            "labels": self.labels,
            "groups": self.groups,
            "sources": self.sources,
        }
        if scores.gate_logits is not None:
            arrays["gate_logits"] = scores.gate_logits
        if scores.aux_logits is not None:
            arrays["aux_logits"] = scores.aux_logits
        with path.open("wb") as file:  # a path would grow an ".npz" that it does not end with
            np.savez_compressed(file, allow_pickle=False, **arrays)

    @staticmethod
    def load(path: Path) -> Predictions:
        """Read what `save` wrote. Raises `Stage1Error` when an array is missing or the purpose is unknown."""
        with np.load(path, allow_pickle=False) as file:
            missing = {"purpose", "ids", "logits", "labels", "groups", "sources"} - set(file.files)
            if missing:
                raise Stage1Error(f"{path} lacks {', '.join(sorted(missing))}; write it with Predictions.save")
            optional = {name: file[name] for name in ("gate_logits", "aux_logits") if name in file.files}
            scores = Scores(file["ids"], file["logits"], **optional)
            purpose = str(file["purpose"])
            if purpose not in tuple(Purpose):
                raise Stage1Error(f"{path} was read for an unknown purpose {purpose!r}; known: {', '.join(Purpose)}")
            return Predictions(Purpose(purpose), scores, file["labels"], file["groups"], file["sources"])


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """What a policy does with ``n`` pictures: {0}, {1}, or {0, 1}, which means "send on to the second stage"."""

    prediction_set: Boolean
    """``(n, 2)``; column c says whether class c is in the set. No set is empty."""

    def __post_init__(self) -> None:
        shape = self.prediction_set.shape
        if len(shape) != 2 or shape[1] != 2 or not (self.prediction_set[:, 0] | self.prediction_set[:, 1]).all():
            raise Stage1Error(f"a prediction set of shape {shape} must be (n, 2) and never empty")

    def __len__(self) -> int:
        return len(self.prediction_set)

    @property
    def exited(self) -> Boolean:
        """``(n,)`` True where exactly one class is left."""
        single: Boolean = self.prediction_set[:, 0] != self.prediction_set[:, 1]
        return single

    @property
    def label(self) -> Integer:
        """``(n,)`` the class of exited pictures, -1 where the picture goes on."""
        return np.where(self.exited, self.prediction_set[:, 1].astype(np.int64), -1)

    def take(self, rows: Integer | Boolean) -> Decisions:
        """Those of the given rows, by index or mask."""
        return Decisions(self.prediction_set[rows])

    @staticmethod
    def of(exits: Boolean, label: Integer | Boolean) -> Decisions:
        """Singletons of ``label`` where ``exits``, {0, 1} elsewhere; both are ``(n,)``."""
        is_one = label.astype(np.bool_, copy=False)
        prediction_set = np.empty((len(exits), 2), dtype=np.bool_)
        prediction_set[:, 0] = ~(exits & is_one)
        prediction_set[:, 1] = ~exits | is_one
        return Decisions(prediction_set)


def _require_text(**columns: Text) -> None:
    """Raise `Stage1Error` for columns that are not numpy text: object arrays would have to be pickled."""
    for name, column in columns.items():
        if column.dtype.kind != "U":
            raise Stage1Error(f"{name} have dtype {column.dtype}, expected text; convert them with .astype(np.str_)")

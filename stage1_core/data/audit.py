"""The audit before training: what is broken, doubled, contradictory or leaking, and which pictures belong together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from stage1_core.config import FrozenModel
from stage1_core.data.audit_counts import (
    contradicts_description,
    counted_duplicates,
    counted_groups,
    counted_leaks,
    counted_sources,
    majority_baseline,
    mixed_sets,
    source_baseline,
)
from stage1_core.data.audit_report import AuditReport, BadPicture, BadPictures
from stage1_core.data.audit_warnings import warnings_about
from stage1_core.data.columns import UNLABELED
from stage1_core.data.grouping import named_groups, related
from stage1_core.errors import AuditError
from stage1_core.predictions import Boolean, Integer

__all__ = ["Audit", "AuditConfig", "AuditReport", "audit", "examine"]

_SHOWN = 10
"""Examples of each finding that a report carries."""


class AuditConfig(FrozenModel):
    """What the audit tolerates, and what it does about the rest."""

    max_bad_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """Largest tolerated fraction of listed pictures that cannot be opened."""
    near_duplicate_distance: Annotated[int, Field(ge=0, le=8)] | None = 3
    """Pictures whose 64-bit perceptual hashes differ in at most this many bits stay together; None: equal files."""
    label_conflicts: Literal["refuse", "drop"] = "refuse"
    """Equal files with different labels: refuse the data, or drop all copies."""
    description_conflicts: Literal["report", "drop"] = "report"
    """A description on a picture without roadwork, or none on one with roadwork, in sources that have descriptions."""
    leaks: Literal["refuse", "drop_from_train"] = "refuse"
    """Training pictures in a group with validation pictures: refuse the data, or drop the training pictures."""


@dataclass(frozen=True, slots=True, eq=False)
class Audit:
    """Samples to split, and what was found."""

    samples: pd.DataFrame
    """Sample rows that are kept, in their order; ``group`` now joins scenes, equal files and near duplicates."""
    report: AuditReport


def audit(samples: pd.DataFrame, bad: pd.DataFrame, config: AuditConfig) -> Audit:
    """`examine`, raising `AuditError` with every reason at once when the data must not be trained on."""
    examined = examine(samples, bad, config)
    if examined.report.refusals:
        raise AuditError("; ".join(examined.report.refusals))
    return examined


def examine(samples: pd.DataFrame, bad: pd.DataFrame, config: AuditConfig) -> Audit:
    """Look at everything and refuse nothing: reasons to refuse are in the report.

    ``bad`` has the columns id, path, source and reason of pictures that could not be opened.
    """
    refusals = _too_many_bad(samples, bad, config.max_bad_fraction)
    conflicting = _label_conflicts(samples)
    conflict_ids = tuple(samples.loc[conflicting, ["sha256", "id"]].groupby("sha256")["id"].min().sort_values())
    contradicting = contradicts_description(samples)
    keep = np.ones(len(samples), dtype=np.bool_)
    dropped: dict[str, int] = {}
    if conflicting.any() and config.label_conflicts == "refuse":
        refusals.append(
            f"{len(conflict_ids)} pictures are listed with both labels, first {conflict_ids[0]}; "
            "correct the labels, or set label_conflicts = 'drop'"
        )
    elif conflicting.any():
        dropped["label conflict"] = int(conflicting.sum())
        keep &= ~conflicting
    if config.description_conflicts == "drop" and (contradicting & keep).any():
        dropped["description conflict"] = int((contradicting & keep).sum())
        keep &= ~contradicting

    # Dropped pictures still connect their groups: two frames of one scene do not become strangers by a label error.
    relations = related(samples, config.near_duplicate_distance)
    leaking = _leaking(samples, relations.group, keep)
    leaks = counted_leaks(samples, relations, leaking, keep, shown=_SHOWN)
    if leaking.any() and config.leaks == "refuse":
        first = leaks.first[0]
        refusals.append(
            f"{int(leaking.sum())} training pictures are related to validation pictures, first {first.train_id} to "
            f"{first.val_id} ({first.relation}); take them out, or set leaks = 'drop_from_train'"
        )
    elif leaking.any():
        dropped["leak"] = int(leaking.sum())
        keep &= ~leaking

    kept = samples.assign(group=named_groups(samples, relations.group))[keep]
    sources = counted_sources(kept, bad, contradicting[keep])
    report = AuditReport(
        sources=sources,
        majority_baseline=majority_baseline(kept),
        source_baseline=source_baseline(sources),
        bad=_bad_pictures(samples, bad),
        exact_duplicates=counted_duplicates(kept, relations.same_file[keep]),
        near_duplicates=counted_duplicates(kept, relations.look_alike[keep]),
        label_conflicts=conflict_ids[:_SHOWN],
        near_label_conflicts=mixed_sets(kept, relations.look_alike[keep]),
        leaks=leaks,
        groups=int(kept["group"].nunique()),
        largest_groups=counted_groups(kept, shown=_SHOWN),
        dropped=dropped,
        warnings=(),
        refusals=tuple(refusals),
    )
    return Audit(kept.reset_index(drop=True), report.model_copy(update={"warnings": warnings_about(report)}))


def _too_many_bad(samples: pd.DataFrame, bad: pd.DataFrame, max_bad_fraction: float) -> list[str]:
    listed = len(samples) + len(bad)
    if not len(samples):
        return [f"none of {listed} listed pictures can be opened; check the paths of the sources"]
    if len(bad) > max_bad_fraction * listed:
        first = bad.iloc[0]
        return [
            f"{len(bad)} of {listed} pictures cannot be opened, more than max_bad_fraction = {max_bad_fraction:g}, "
            f"first {first['id']} ({first['reason']}); repair or delist them"
        ]
    return []


def _label_conflicts(samples: pd.DataFrame) -> Boolean:
    """``(n,)`` labelled rows whose file also occurs with the other label."""
    labelled = (samples["label"] != UNLABELED).to_numpy(dtype=np.bool_)
    file = np.asarray(pd.factorize(samples["sha256"])[0], dtype=np.int64)
    return labelled & _holds(file, samples["label"] == 0)[file] & _holds(file, samples["label"] == 1)[file]


def _leaking(samples: pd.DataFrame, group: Integer, keep: Boolean) -> Boolean:
    """``(n,)`` kept, labelled rows of role "train" in a group with such rows of role "val"."""
    usable = keep & (samples["label"] != UNLABELED).to_numpy(dtype=np.bool_)
    in_val = _holds(group, usable & (samples["role"] == "val"))
    return usable & (samples["role"] == "train").to_numpy(dtype=np.bool_) & in_val[group]


def _holds(codes: Integer, rows: pd.Series | Boolean) -> Boolean:
    """For each code from 0 to the largest, whether one of ``rows``, a mask, has it."""
    return np.bincount(codes[np.asarray(rows, dtype=np.bool_)], minlength=int(codes.max(initial=-1)) + 1) > 0


def _bad_pictures(samples: pd.DataFrame, bad: pd.DataFrame) -> BadPictures:
    first = tuple(BadPicture(id=row["id"], reason=row["reason"]) for _, row in bad.head(_SHOWN).iterrows())
    return BadPictures(count=len(bad), listed=len(samples) + len(bad), first=first)

"""The counts behind an audit report, each over sample rows."""

from __future__ import annotations

import numpy as np
import pandas as pd

from stage1_core.data.audit_report import Duplicates, GroupSize, Leak, Leaks, SourceCounts
from stage1_core.data.columns import UNLABELED
from stage1_core.data.grouping import Relations
from stage1_core.predictions import Boolean, Integer

_SORTED_FROM = 20
"""Labelled pictures from which a listing in class order is hardly chance."""


def contradicts_description(samples: pd.DataFrame) -> Boolean:
    """``(n,)`` rows with label 0 and a description, or label 1 and none, in sources that have descriptions."""
    label = samples["label"].to_numpy()
    described: Boolean = (samples["description"].str.strip() != "").to_numpy(dtype=np.bool_)
    can_tell: Boolean = samples["source"].isin(_describing_sources(samples)).to_numpy(dtype=np.bool_)
    conflict: Boolean = can_tell & np.where(described, label == 0, label == 1)
    return conflict


def counted_sources(samples: pd.DataFrame, bad: pd.DataFrame, contradicting: Boolean) -> tuple[SourceCounts, ...]:
    """Counts of each source, by name; ``contradicting`` is a mask of ``samples``."""
    describing = _describing_sources(samples)
    counts = []
    for source in sorted({*samples["source"].unique(), *bad["source"].unique()}):
        here = (samples["source"] == source).to_numpy(dtype=np.bool_)
        label = samples.loc[here, "label"].to_numpy()
        negatives, positives = int((label == 0).sum()), int((label == 1).sum())
        counts.append(
            SourceCounts(
                source=source,
                roles=tuple(sorted(samples.loc[here, "role"].unique())),
                negatives=negatives,
                positives=positives,
                unlabeled=int((label == UNLABELED).sum()),
                bad=int((bad["source"] == source).sum()),
                majority_baseline=_largest_share(negatives, positives),
                sorted_by_class=_is_sorted(label[label != UNLABELED]),
                description_conflicts=int((contradicting & here).sum()) if source in describing else None,
            )
        )
    return tuple(counts)


def majority_baseline(samples: pd.DataFrame) -> float | None:
    """Accuracy of always naming the larger class."""
    return _largest_share(int((samples["label"] == 0).sum()), int((samples["label"] == 1).sum()))


def source_baseline(sources: tuple[SourceCounts, ...]) -> float | None:
    """Accuracy of naming the larger class of each picture's source."""
    labelled = sum(source.negatives + source.positives for source in sources)
    return sum(max(source.negatives, source.positives) for source in sources) / labelled if labelled else None


def counted_duplicates(samples: pd.DataFrame, sets: Integer) -> Duplicates:
    """Counts over the sets of two or more rows; ``sets`` is the ``(n,)`` number of each row's set."""
    numbers, sets, sizes = np.unique(sets, return_inverse=True, return_counts=True)
    several = sizes > 1
    return Duplicates(
        sets=int(several.sum()),
        pictures=int(sizes[several].sum()),
        across_roles=int(_varies(samples["role"], sets, len(numbers)).sum()),
        across_sources=int(_varies(samples["source"], sets, len(numbers)).sum()),
        largest=int(sizes[several].max(initial=0)),
    )


def mixed_sets(samples: pd.DataFrame, sets: Integer) -> int:
    """Sets with rows of both classes."""
    labelled = (samples["label"] != UNLABELED).to_numpy(dtype=np.bool_)
    return int(_varies(samples.loc[labelled, "label"], sets[labelled], int(sets.max(initial=-1)) + 1).sum())


def counted_leaks(samples: pd.DataFrame, relations: Relations, leaking: Boolean, keep: Boolean, *, shown: int) -> Leaks:
    """The ``leaking`` training rows, each under its closest relation to a kept validation row."""
    in_val = keep & ((samples["role"] == "val") & (samples["label"] != UNLABELED)).to_numpy(dtype=np.bool_)
    ids = samples["id"].to_numpy()
    open_rows = leaking.copy()
    counts: list[int] = []
    examples: list[Leak] = []
    closest_first = (
        ("same file", relations.same_file),
        ("near duplicate", relations.look_alike),
        ("same group", relations.group),
    )
    for relation, sets in closest_first:
        val_row = np.full(int(sets.max(initial=-1)) + 1, -1, dtype=np.int64)
        val_row[sets[in_val]] = np.flatnonzero(in_val)
        found = np.flatnonzero(open_rows & (val_row[sets] >= 0))
        open_rows[found] = False
        counts.append(len(found))
        examples += [
            Leak(train_id=ids[row], val_id=ids[val_row[sets[row]]], relation=relation)
            for row in found[: shown - len(examples)]
        ]
    same_file, near_duplicate, same_group = counts
    return Leaks(same_file=same_file, near_duplicate=near_duplicate, same_group=same_group, first=tuple(examples))


def counted_groups(samples: pd.DataFrame, *, shown: int) -> tuple[GroupSize, ...]:
    """The largest groups of more than one row, largest first, equal ones by name."""
    sizes = samples["group"].value_counts()
    sizes = sizes[sizes > 1]
    threshold = sizes.nlargest(shown).min() if len(sizes) else 0
    largest = sorted(sizes[sizes >= threshold].items(), key=lambda item: (-item[1], item[0]))
    return tuple(GroupSize(group=str(name), pictures=int(size)) for name, size in largest[:shown])


def _describing_sources(samples: pd.DataFrame) -> set[str]:
    """Sources in which at least one picture has a description."""
    return set(samples.loc[samples["description"].str.strip() != "", "source"].unique())


def _largest_share(negatives: int, positives: int) -> float | None:
    labelled = negatives + positives
    return max(negatives, positives) / labelled if labelled else None


def _is_sorted(label: Integer) -> bool:
    """Whether one class stands after the other."""
    return len(label) >= _SORTED_FROM and int((label[1:] != label[:-1]).sum()) == 1


def _varies(column: pd.Series, sets: Integer, total: int) -> Boolean:
    """``(total,)`` whether the rows of a set have more than one value of ``column``."""
    codes = np.asarray(pd.factorize(column)[0], dtype=np.int64)
    one = np.full(total, -1, dtype=np.int64)
    one[sets] = codes
    varies = np.zeros(total, dtype=np.bool_)
    varies[sets[one[sets] != codes]] = True
    return varies

"""splits.json: how the rows were divided, small enough to travel in a bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from stage1_core.config import FrozenModel
from stage1_core.data.access_log import AccessEntry
from stage1_core.data.split_config import CutPool, CutValidation, SplitConfig
from stage1_core.splits import Half, Purpose, Split

if TYPE_CHECKING:
    import pandas as pd

Count = Annotated[int, Field(ge=0)]


class SplitCell(FrozenModel):
    """Rows of one source in one split, or in one half of VAL_CALIB."""

    split: Split
    half: Half | None
    source: str
    negatives: Count
    positives: Count
    unlabeled: Count


class SplitShare(FrozenModel):
    """One split as a whole."""

    split: Split
    groups: Count
    negatives: Count
    positives: Count
    share_of_cut: Annotated[float, Field(ge=0, le=1)]
    """Fraction of the rows that were cut which lies in this split; 0 for a TRAIN split that was given, not cut."""


class SplitHistory(FrozenModel):
    """What a split ledger owes to the ledgers before it."""

    origin: str
    """Digest of the first ledger of the line; the access log bears its name."""
    continues: str
    """Digest of the ledger whose places were kept."""
    left_out: Count
    """Labelled pictures that fit nowhere: they join what had been parted, or would have to move or to change roles."""
    remembered: Count
    """Pictures that were placed earlier and are not in this ledger; those that come back go where they were."""
    remembered_digest: str
    """Digest over the places of these pictures."""


class SplitSummary(FrozenModel):
    """Seed, ratios, counts and digests of a split ledger, and each look at its held-out rows so far."""

    config: SplitConfig
    """Seed and ratios."""
    ledger_digest: str
    """Digest over id, sha256, label, group, split and half of every row."""
    splits: tuple[SplitShare, ...]
    cells: tuple[SplitCell, ...]
    rows_digests: dict[Purpose, str]
    """Digest over id, sha256 and label of the rows of each purpose; the access log names rows by it."""
    source_digests: dict[str, str]
    """For each source, the digest over id, sha256 and label of its rows in the ledger."""
    openings: tuple[AccessEntry, ...] = ()
    """The access log of these rows when the summary was written."""
    history: SplitHistory | None = None
    """None for a split that continues no other."""

    @property
    def origin(self) -> str:
        """Digest of the first ledger of the line."""
        return self.history.origin if self.history else self.ledger_digest

    def in_words(self) -> str:
        """Whether other ledgers went before, and what that meant for the pictures."""
        if self.history is None:
            return "A split of its own."
        return (
            f"Continues split {self.history.continues[:12]}…: no picture moved, {self.history.left_out} new ones fit "
            f"nowhere and are left out, {self.history.remembered} earlier ones are gone."
        )

    def table(self) -> list[dict[str, str]]:
        """One row for each split, half and source: counts by class."""
        return [
            {
                "split": cell.split.value if cell.half is None else f"{cell.split.value} ({cell.half.value})",
                "source": cell.source,
                "no roadwork": str(cell.negatives),
                "roadwork": str(cell.positives),
                "unlabeled": str(cell.unlabeled),
            }
            for cell in self.cells
        ]


def shares_of(samples: pd.DataFrame, config: CutValidation | CutPool) -> tuple[SplitShare, ...]:
    """Counts of each split over its labelled rows."""
    labelled = samples[samples["label"] >= 0]
    was_cut = labelled["role"] == config.cut_role
    shares = []
    for part in Split:
        inside = labelled["split"] == part.value
        rows = labelled[inside]
        shares.append(
            SplitShare(
                split=part,
                groups=rows["group"].nunique(),
                negatives=int((rows["label"] == 0).sum()),
                positives=int((rows["label"] == 1).sum()),
                share_of_cut=float((inside & was_cut).sum() / was_cut.sum()),
            )
        )
    return tuple(shares)


def cells_of(samples: pd.DataFrame) -> tuple[SplitCell, ...]:
    """Counts by split, half and source, in that order; cells without rows are left out."""
    counts = samples.groupby(["split", "half", "source", "label"], observed=True).size().unstack(fill_value=0)
    counts = counts.reindex(columns=[-1, 0, 1], fill_value=0)
    order = {part.value: position for position, part in enumerate(Split)}
    cells = [
        SplitCell(
            split=Split(part),
            half=Half(half) if half else None,
            source=source,
            unlabeled=int(unlabeled),
            negatives=int(negatives),
            positives=int(positives),
        )
        for (part, half, source), (unlabeled, negatives, positives) in zip(counts.index, counts.to_numpy(), strict=True)
    ]
    return tuple(sorted(cells, key=lambda cell: (order[cell.split], cell.half or "", cell.source)))

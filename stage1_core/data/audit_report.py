"""What the audit found: a table a person can read and a machine can check."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stage1_core.config import FrozenModel

Count = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class SourceCounts(FrozenModel):
    """One source after the audit."""

    source: str
    roles: tuple[str, ...]
    negatives: Count
    positives: Count
    unlabeled: Count
    bad: Count
    """Pictures that cannot be opened; not among the other counts."""
    majority_baseline: Fraction | None
    """Accuracy of always naming the larger class; None without labelled pictures."""
    sorted_by_class: bool
    """Whether the file lists one class after the other, so that its order must never be used to split."""
    description_conflicts: Count | None
    """Pictures whose description contradicts the label; None where the source has no descriptions."""


class BadPicture(FrozenModel):
    """A picture that cannot be used."""

    id: str
    reason: str


class BadPictures(FrozenModel):
    """Pictures set aside, of all that were listed."""

    count: Count
    listed: Count
    first: tuple[BadPicture, ...]


class Duplicates(FrozenModel):
    """Sets of two or more pictures that are the same, or look the same."""

    sets: Count
    pictures: Count
    """Pictures in such sets."""
    across_roles: Count
    """Sets with pictures of more than one role."""
    across_sources: Count
    """Sets with pictures of more than one source."""
    largest: Count
    """Pictures in the largest set; 0 without any."""


class Leak(FrozenModel):
    """A picture to train on that is related to a validation picture."""

    train_id: str
    val_id: str
    relation: str
    """"same file", "near duplicate" (perhaps over others) or "same group"."""


class Leaks(FrozenModel):
    """Pictures of role "train" that are related to one of role "val"."""

    same_file: Count
    near_duplicate: Count
    same_group: Count
    """Related by scene, or over several steps."""
    first: tuple[Leak, ...]

    @property
    def pictures(self) -> int:
        """All leaking training pictures: each is counted under its closest relation."""
        return self.same_file + self.near_duplicate + self.same_group


class GroupSize(FrozenModel):
    """A group and its number of pictures."""

    group: str
    pictures: Count


class AuditReport(FrozenModel):
    """Counts over the samples that the audit keeps, and what it dropped, warns of and refuses."""

    sources: tuple[SourceCounts, ...]
    majority_baseline: Fraction | None
    """Accuracy of always naming the larger class; None without labelled pictures."""
    source_baseline: Fraction | None
    """Accuracy of naming the larger class of each picture's source: what a model can reach that knows only sources."""
    bad: BadPictures
    exact_duplicates: Duplicates
    near_duplicates: Duplicates
    """Exact duplicates are among them."""
    label_conflicts: tuple[str, ...]
    """First id of each set of identical files with different labels; the first few."""
    near_label_conflicts: Count
    """Sets of near duplicates with different labels: neighbouring frames may differ, copies may not."""
    leaks: Leaks
    groups: Count
    largest_groups: tuple[GroupSize, ...]
    dropped: dict[str, int]
    """Pictures taken out, by reason; a reason that dropped none is not listed."""
    warnings: tuple[str, ...]
    """What a person should look at."""
    refusals: tuple[str, ...]
    """Why these data must not be trained on; empty when they may."""

    def table(self) -> list[dict[str, str]]:
        """One row for each source: counts, majority baseline, remarks."""
        return [
            {
                "source": source.source,
                "roles": ", ".join(source.roles),
                "no roadwork": str(source.negatives),
                "roadwork": str(source.positives),
                "unlabeled": str(source.unlabeled),
                "bad": str(source.bad),
                "majority baseline": _percent(source.majority_baseline),
                "sorted by class": "yes" if source.sorted_by_class else "no",
            }
            for source in self.sources
        ]


def _percent(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2%}"

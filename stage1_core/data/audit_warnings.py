"""What in an audit report a person should look at, in words."""

from __future__ import annotations

from collections.abc import Iterator

from stage1_core.data.audit_report import AuditReport

_LARGE_GROUP = 0.05
"""Fraction of all pictures from which one group makes the ratios of a split coarse."""


def warnings_about(report: AuditReport) -> tuple[str, ...]:
    """One sentence for each finding that does not stop the audit but may spoil a model or its evaluation."""
    return (
        *_source_warnings(report),
        *_set_warnings(report),
        *(f"dropped: {n} pictures ({r})" for r, n in report.dropped.items()),
    )


def _source_warnings(report: AuditReport) -> Iterator[str]:
    for source in report.sources:
        if source.description_conflicts:
            yield (
                f"{source.source}: {source.description_conflicts} pictures have a description that contradicts "
                "their label"
            )
        if source.sorted_by_class:
            yield f"{source.source}: the listing is sorted by class; its order must not be used to split or to shard"
    one_class = [s.source for s in report.sources if (s.negatives == 0) != (s.positives == 0)]
    if one_class and report.source_baseline is not None and report.majority_baseline is not None:
        yield (
            f"only one class in {', '.join(one_class)}: knowing nothing but the source gives "
            f"{report.source_baseline:.1%} accuracy (majority {report.majority_baseline:.1%}), so a model may learn "
            "to tell sources apart; look at the metrics of each source"
        )


def _set_warnings(report: AuditReport) -> Iterator[str]:
    if report.bad.count:
        yield f"{report.bad.count} of {report.bad.listed} pictures cannot be opened and are left out"
    if report.near_label_conflicts:
        yield f"{report.near_label_conflicts} sets of near duplicates hold both labels; look for wrong labels there"
    pictures = sum(s.negatives + s.positives + s.unlabeled for s in report.sources)
    for group in report.largest_groups:
        if group.pictures > _LARGE_GROUP * pictures:
            yield (
                f"group {group.group} holds {group.pictures} of {pictures} pictures; it goes into one split as a "
                "whole, so ratios are coarse"
            )

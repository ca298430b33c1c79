from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stage1_core.data.audit import AuditConfig, audit, examine
from stage1_core.data.audit_report import AuditReport
from stage1_core.data.ledger import CutPool, CutValidation, split
from stage1_core.errors import AuditError
from tests.data.sample_rows import no_bad, sample_rows

LENIENT = AuditConfig(label_conflicts="drop", leaks="drop_from_train")


def report_on(samples: pd.DataFrame, config: AuditConfig = LENIENT, bad: pd.DataFrame | None = None) -> AuditReport:
    return examine(samples, no_bad() if bad is None else bad, config).report


def train_and_val(**val: object) -> pd.DataFrame:
    """Four training rows and four validation rows; the arguments describe the latter."""
    train = sample_rows([0, 1, 0, 1], role="train", groups=["a", "b", "c", "d"], files=list("ABCD"), hashes=FAR[:4])
    defaults = {"groups": ["e", "f", "g", "h"], "files": list("EFGH"), "hashes": FAR[4:8]}
    return pd.concat([train, sample_rows([0, 1, 0, 1], role="val", **{**defaults, **val})], ignore_index=True)


FAR = [int(f"{digit:x}" * 16, 16) for digit in (0, 15, 3, 12, 5, 10, 6, 9)]
"""Hashes that differ in 32 bits or more."""


def test_clean_rows_pass_unchanged() -> None:
    rows = train_and_val()
    audited = audit(rows, no_bad(), AuditConfig())
    assert audited.samples.equals(rows)
    assert audited.report.refusals == audited.report.warnings == ()
    assert audited.report.groups == 8


def test_class_balance_and_baselines_are_counted_by_source() -> None:
    rows = pd.concat([sample_rows([0, 1, 1, -1], source="city"), sample_rows([0, 0], source="kaggle")])
    report = report_on(rows.reset_index(drop=True))
    city, kaggle = report.sources
    assert (city.negatives, city.positives, city.unlabeled, city.majority_baseline) == (1, 2, 1, 2 / 3)
    assert (kaggle.negatives, kaggle.positives, kaggle.majority_baseline) == (2, 0, 1.0)
    assert (report.majority_baseline, report.source_baseline) == (3 / 5, 4 / 5)


def test_a_source_of_one_class_is_a_shortcut_and_warned_of() -> None:
    rows = pd.concat([sample_rows([0, 1, 1]), sample_rows([0, 0], source="kaggle")], ignore_index=True)
    (warning,) = report_on(rows).warnings
    assert warning.startswith("only one class in kaggle: knowing nothing but the source gives 80.0% accuracy")


def test_a_source_without_labels_has_no_baseline_and_no_shortcut() -> None:
    report = report_on(sample_rows([-1, -1]))
    assert report.majority_baseline is report.source_baseline is report.sources[0].majority_baseline is None
    assert report.warnings == ()


def bad_rows(count: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [f"street/bad{n}.jpg" for n in range(count)],
            "path": "/p",
            "source": "street",
            "reason": "the file is empty",
        }
    )


def test_bad_pictures_up_to_the_tolerated_fraction_are_listed_and_counted() -> None:
    report = audit(sample_rows([0, 1] * 99), bad_rows(2), AuditConfig()).report
    assert (report.bad.count, report.bad.listed, report.sources[0].bad) == (2, 200, 2)
    assert report.bad.first[0].reason == "the file is empty"
    assert "2 of 200 pictures cannot be opened and are left out" in report.warnings


def test_more_bad_pictures_than_tolerated_are_refused_with_the_first() -> None:
    with pytest.raises(AuditError, match=r"2 of 100 .* more than max_bad_fraction = 0.01, first street/bad0.jpg"):
        audit(sample_rows([0, 1] * 49), bad_rows(2), AuditConfig())


def test_no_usable_picture_at_all_is_refused() -> None:
    with pytest.raises(AuditError, match="none of 3 listed pictures can be opened"):
        audit(sample_rows([]), bad_rows(3), AuditConfig(max_bad_fraction=0.99))


def test_a_source_whose_pictures_are_all_bad_is_still_listed() -> None:
    report = report_on(sample_rows([0, 1], source="city"), bad=bad_rows(3))
    assert [(source.source, source.bad) for source in report.sources] == [("city", 0), ("street", 3)]


def test_duplicates_are_counted_within_and_across_roles_and_sources() -> None:
    one = sample_rows([0, 0, 1], files=["A", "A", "B"], hashes=[FAR[0], FAR[0], FAR[1]])
    other = sample_rows([0, 1], source="kaggle", role="train", files=["A", "C"], hashes=[FAR[0], FAR[1] ^ 0b11])
    report = report_on(pd.concat([one, other], ignore_index=True))
    assert report.exact_duplicates.model_dump() == {
        "sets": 1,
        "pictures": 3,
        "across_roles": 1,
        "across_sources": 1,
        "largest": 3,
    }
    assert (report.near_duplicates.sets, report.near_duplicates.pictures) == (2, 5)


def test_groups_join_scenes_files_and_looks_in_any_number_of_steps() -> None:
    rows = sample_rows(
        [0] * 6,
        groups=["s1", "s1", "s2", "s3", "s4", "s5"],
        files=["A", "B", "B", "C", "D", "E"],
        hashes=[FAR[0], FAR[1], FAR[1], FAR[2], FAR[1] ^ 0b111, FAR[3]],
    )
    groups = audit(rows, no_bad(), AuditConfig()).samples["group"].tolist()
    assert groups == ["street/s1", "street/s1", "street/s1", "street/s3", "street/s1", "street/s5"]


def test_without_a_distance_only_equal_files_join() -> None:
    rows = sample_rows([0] * 3, groups=["a", "b", "c"], files=["A", "A", "B"], hashes=[FAR[0]] * 3)
    report = report_on(rows, AuditConfig(near_duplicate_distance=None))
    assert (report.groups, report.near_duplicates) == (2, report.exact_duplicates)


@given(order=st.permutations(range(12)))
@settings(max_examples=25)
def test_group_names_do_not_depend_on_the_order_of_rows(order: list[int]) -> None:
    rows = sample_rows(
        [0] * 12, files=list("AABBCCDDEEFF"), groups=[f"g{k}" for k in (0, 1, 1, 2, 3, 4, 5, 6, 6, 7, 8, 9)]
    )
    straight = examine(rows, no_bad(), LENIENT).samples.set_index("id")["group"]
    shuffled = examine(rows.iloc[order].reset_index(drop=True), no_bad(), LENIENT).samples.set_index("id")["group"]
    assert shuffled.sort_index().equals(straight.sort_index())


def conflicting() -> pd.DataFrame:
    return sample_rows([0, 1, 1, -1], files=["A", "A", "B", "A"])


def test_equal_files_with_different_labels_are_refused() -> None:
    with pytest.raises(AuditError, match=r"1 pictures are listed with both labels, first street/pool_00000.jpg"):
        audit(conflicting(), no_bad(), AuditConfig())


def test_equal_files_with_different_labels_are_dropped_where_the_config_says_so() -> None:
    audited = audit(conflicting(), no_bad(), LENIENT)
    assert audited.samples["id"].tolist() == ["street/pool_00002.jpg", "street/pool_00003.jpg"]
    assert audited.report.dropped == {"label conflict": 2}
    assert audited.report.label_conflicts == ("street/pool_00000.jpg",)


def test_an_unlabeled_copy_of_a_labelled_picture_is_no_conflict() -> None:
    assert report_on(sample_rows([0, -1], files=["A", "A"]), AuditConfig()).refusals == ()


def test_near_duplicates_with_different_labels_are_warned_of() -> None:
    report = report_on(sample_rows([0, 1], hashes=[8, 9]))
    assert report.near_label_conflicts == 1
    assert any("hold both labels" in warning for warning in report.warnings)


def described() -> pd.DataFrame:
    natix = sample_rows([0, 0, 1, 1], descriptions=["", "a cone", "workers", " "])
    return pd.concat([natix, sample_rows([1, 1, 0], source="kaggle")], ignore_index=True)


def test_a_description_that_contradicts_the_label_is_reported_where_the_source_has_descriptions() -> None:
    report = report_on(described())
    assert {s.source: s.description_conflicts for s in report.sources} == {"street": 2, "kaggle": None}
    assert any("street: 2 pictures have a description that contradicts" in warning for warning in report.warnings)


def test_contradicting_descriptions_are_dropped_where_the_config_says_so() -> None:
    audited = audit(described(), no_bad(), AuditConfig(description_conflicts="drop"))
    assert audited.report.dropped == {"description conflict": 2}
    assert audited.samples.loc[audited.samples["source"] == "street", "description"].tolist() == ["", "workers"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [([0] * 10 + [1] * 10, True), ([1] * 15 + [0] * 5, True), ([0, 1] * 10, False), ([0] * 20, False), ([0, 1], False)],
    ids=["negatives first", "positives first", "mixed", "one class", "too few to tell"],
)
def test_a_listing_in_class_order_is_flagged(labels: list[int], expected: bool) -> None:
    report = report_on(sample_rows(labels))
    assert report.sources[0].sorted_by_class is expected
    assert any("sorted by class" in warning for warning in report.warnings) is expected


LEAKS = {
    "same file": {"files": ["A", "F", "G", "H"], "hashes": [FAR[0], *FAR[5:8]]},
    "near duplicate": {"hashes": [FAR[0] ^ 0b101, *FAR[5:8]]},
    "same group": {"groups": ["a", "f", "g", "h"]},
}


@pytest.mark.parametrize("relation", LEAKS)
def test_a_leak_from_validation_into_training_is_refused_by_name(relation: str) -> None:
    rows = train_and_val(**LEAKS[relation])
    with pytest.raises(AuditError, match=f"1 training pictures .* street/val_00000.jpg \\({relation}\\)"):
        audit(rows, no_bad(), AuditConfig())


@pytest.mark.parametrize("relation", LEAKS)
def test_a_leak_is_dropped_from_training_where_the_config_says_so(relation: str) -> None:
    audited = audit(train_and_val(**LEAKS[relation]), no_bad(), LENIENT)
    assert set(train_and_val()["id"]) - set(audited.samples["id"]) == {"street/train_00000.jpg"}
    assert (audited.report.dropped, audited.report.leaks.pictures) == ({"leak": 1}, 1)


def test_a_leak_over_several_steps_is_a_leak() -> None:
    # A training frame looks like another one, which is the same file as a validation frame.
    rows = train_and_val(files=["A", "F", "G", "H"], hashes=[FAR[0], *FAR[5:8]])
    rows.loc[1, "phash"] = FAR[0] ^ 0b11
    assert report_on(rows).dropped == {"leak": 2}


def test_what_is_dropped_from_training_can_be_split() -> None:
    rows = pd.concat(
        [
            sample_rows([0, 1] * 10, role="train", groups=[f"g{k}" for k in range(20)]),
            sample_rows([0, 1] * 40, role="val", groups=[f"g{k + 18}" for k in range(80)]),
        ],
        ignore_index=True,
    )
    ledger = split(audit(rows, no_bad(), LENIENT).samples, CutValidation())
    assert (ledger.samples["role"] == "train").sum() == 18


def test_near_duplicates_in_a_pool_end_up_in_one_split() -> None:
    hashes = [FAR[k % 8] ^ (0x0101_0101_0101_0101 * (k // 8)) ^ (k % 3) for k in range(160)]
    rows = audit(sample_rows([k % 2 for k in range(160)], hashes=hashes), no_bad(), AuditConfig()).samples
    placed = split(rows, CutPool()).samples
    assert placed.groupby("group")["split"].nunique().max() == 1


def test_all_reasons_to_refuse_are_told_at_once() -> None:
    rows = train_and_val(groups=["a", "f", "g", "h"], files=["E", "E", "G", "H"])
    with pytest.raises(AuditError) as error:
        audit(rows, bad_rows(5), AuditConfig())
    for part in ("cannot be opened", "both labels", "related to validation pictures"):
        assert part in str(error.value)


def test_examining_refused_data_gives_the_full_report() -> None:
    report = report_on(conflicting(), AuditConfig())
    assert len(report.refusals) == 1
    assert AuditReport.model_validate_json(report.to_json()) == report


def test_a_group_that_dominates_is_warned_of_and_listed_first() -> None:
    report = report_on(sample_rows([0, 1] * 20, groups=["big"] * 30 + [f"g{k}" for k in range(10)]))
    assert (report.largest_groups[0].group, report.largest_groups[0].pictures) == ("street/big", 30)
    assert any("street/big holds 30 of 40 pictures" in warning for warning in report.warnings)


def test_the_table_has_a_row_for_each_source() -> None:
    assert report_on(sample_rows([0, 1, 1])).table() == [
        {
            "source": "street",
            "roles": "pool",
            "no roadwork": "1",
            "roadwork": "2",
            "unlabeled": "0",
            "bad": "0",
            "majority baseline": "66.67%",
            "sorted by class": "no",
        }
    ]

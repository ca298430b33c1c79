from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stage1_core.data.access_log import AccessLog
from stage1_core.data.ledger import CutPool, CutValidation, SplitLedger, require_disjoint, split
from stage1_core.data.split_summary import SplitSummary
from stage1_core.errors import AuditError, DataError, LedgerError
from stage1_core.predictions import Scores
from stage1_core.splits import READABLE_FOR, Purpose, Split
from tests.data.sample_rows import sample_rows

POOL = sample_rows([0, 0, 1] * 40, groups=[f"drive{row // 2}" for row in range(120)])


def train_and_val() -> pd.DataFrame:
    train = sample_rows([0, 1] * 10, role="train", groups=[f"train{k}" for k in range(20)])
    val = sample_rows([0, 1] * 50, role="val", groups=[f"val{k // 2}" for k in range(100)])
    return pd.concat([train, val], ignore_index=True)


@pytest.fixture(scope="module")
def ledger() -> SplitLedger:
    return split(POOL, CutPool())


def test_every_labelled_row_is_in_exactly_one_split(ledger: SplitLedger) -> None:
    assert sorted(ledger.samples["id"]) == sorted(POOL["id"])
    assert set(ledger.samples["split"]) == {part.value for part in Split}


def test_the_halves_are_halves_of_val_calib_alone(ledger: SplitLedger) -> None:
    in_calib = ledger.samples["split"] == "val_calib"
    assert set(ledger.samples.loc[in_calib, "half"]) == {"fit", "certify"}
    assert set(ledger.samples.loc[~in_calib, "half"]) == {""}


def test_a_purpose_reads_the_rows_that_the_table_of_purposes_gives_it(ledger: SplitLedger) -> None:
    for purpose, (part, half) in READABLE_FOR.items():
        rows = ledger.rows(purpose)
        assert set(rows["split"]) == {part.value}
        assert len(rows) == sum(
            ledger.samples["split"].eq(part.value) & (True if half is None else ledger.samples["half"].eq(half.value))
        )


def test_scores_are_labelled_with_what_is_known_of_their_rows(ledger: SplitLedger) -> None:
    rows = ledger.rows(Purpose.SELECT_MODEL)
    found = ledger.labelled(Purpose.SELECT_MODEL, make_scores(rows["id"]))
    assert found.purpose is Purpose.SELECT_MODEL
    assert found.labels.tolist() == rows["label"].tolist()
    assert (found.groups.tolist(), found.sources.tolist()) == (rows["group"].tolist(), rows["source"].tolist())


def test_scores_of_other_rows_are_not_labelled(ledger: SplitLedger) -> None:
    ids = ledger.rows(Purpose.SELECT_MODEL)["id"]
    for others in (ids[::-1], ids[1:], ledger.rows(Purpose.CERTIFY_POLICY)["id"]):
        with pytest.raises(LedgerError, match="score these rows"):
            ledger.labelled(Purpose.SELECT_MODEL, make_scores(others))


def make_scores(ids: pd.Series) -> Scores:
    return Scores(ids.to_numpy(dtype=np.str_), np.zeros((len(ids), 2)))


def test_no_group_straddles_splits_or_halves(ledger: SplitLedger) -> None:
    place = ledger.samples["split"] + ledger.samples["half"]
    assert place.groupby(ledger.samples["group"]).nunique().max() == 1


@given(seed=st.integers(0, 1000))
@settings(max_examples=20)
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    shuffled = POOL.sample(frac=1, random_state=np.random.default_rng(seed)).reset_index(drop=True)
    again = split(shuffled, CutPool())
    assert again.digest == split(POOL, CutPool()).digest
    assert again.samples.equals(split(POOL, CutPool()).samples)


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_other_processes_with_other_hash_seeds_make_the_same_ledger(ledger: SplitLedger, hash_seed: str) -> None:
    code = (
        "from tests.data.test_ledger import POOL\n"
        "from stage1_core.data.ledger import CutPool, split\n"
        "print(split(POOL, CutPool()).digest)"
    )
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)}
    made = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert made.stdout.strip() == ledger.digest


def test_the_digest_is_that_of_the_sorted_lines(ledger: SplitLedger) -> None:
    rows = ledger.samples.sort_values("id")
    columns = ["id", "sha256", "label", "group", "split", "half"]
    lines = "".join("\0".join(map(str, row)) + "\n" for row in rows[columns].itertuples(index=False))
    assert ledger.digest == hashlib.sha256(lines.encode()).hexdigest()


def test_another_seed_is_another_ledger(ledger: SplitLedger) -> None:
    assert split(POOL, CutPool(seed=1)).digest != ledger.digest


@given(sizes=st.lists(st.integers(1, 3), min_size=80, max_size=80), seed=st.integers(0, 9))
@settings(max_examples=30)
def test_each_class_keeps_its_ratios_to_within_one_group(sizes: list[int], seed: int) -> None:
    labels = [number % 2 for number, size in enumerate(sizes) for _ in range(size)]
    groups = [f"g{number}" for number, size in enumerate(sizes) for _ in range(size)]
    rows = split(
        sample_rows(labels, groups=groups), CutPool(seed=seed, train=0.25, select=0.25, calib=0.25, test=0.25)
    ).samples
    for label in (0, 1):
        of_class = rows[rows["label"] == label]
        largest = of_class["group"].value_counts().max()
        for part in Split:
            assert abs((of_class["split"] == part.value).sum() - 0.25 * len(of_class)) <= largest


def test_rows_of_role_train_train_and_rows_of_role_val_are_cut() -> None:
    rows = split(train_and_val(), CutValidation()).samples
    assert set(rows.loc[rows["role"] == "train", "split"]) == {"train"}
    counts = rows.loc[rows["role"] == "val", "split"].value_counts().to_dict()
    assert counts == {"val_select": 34, "val_calib": 32, "val_test": 34}


def test_rows_of_role_train_beside_a_pool_only_train() -> None:
    extra = sample_rows([0, 1] * 5, role="train", source="synthetic")
    rows = split(pd.concat([POOL, extra], ignore_index=True), CutPool()).samples
    assert set(rows.loc[rows["source"] == "synthetic", "split"]) == {"train"}


def test_a_group_shared_by_training_rows_and_a_pool_trains_as_a_whole() -> None:
    extra = sample_rows([0], role="train", groups=["drive0"])
    rows = split(pd.concat([POOL, extra], ignore_index=True), CutPool()).samples
    assert set(rows.loc[rows["group"] == "street/drive0", "split"]) == {"train"}


def test_a_group_on_both_sides_of_a_given_boundary_is_refused() -> None:
    rows = train_and_val()
    rows.loc[0, "group"] = rows.loc[30, "group"]
    with pytest.raises(AuditError, match=r"1 groups lie in role 'train' and in role 'val', first 'street/val5'"):
        split(rows, CutValidation())


@pytest.mark.parametrize(
    ("config", "role"), [(CutValidation(), "pool"), (CutPool(), "val")], ids=["cut_validation", "cut_pool"]
)
def test_a_role_that_the_cut_has_no_place_for_is_refused_with_what_to_do(
    config: CutValidation | CutPool, role: str
) -> None:
    rows = pd.concat([POOL, train_and_val(), sample_rows([1], role=role, source="other")], ignore_index=True)
    rows = rows[(rows["role"] != role) | (rows["source"] == "other")]
    with pytest.raises(DataError, match=f"source other has role '{role}'"):
        split(rows, config)


def test_nothing_to_cut_is_refused() -> None:
    with pytest.raises(DataError, match="no labelled picture has role 'val'"):
        split(sample_rows([0, 1], role="train"), CutValidation())


def test_too_few_groups_of_a_class_are_refused_with_their_number() -> None:
    rows = sample_rows([0] * 40 + [1] * 6, groups=[f"g{min(row, 41)}" for row in range(46)])
    with pytest.raises(DataError, match=r"got no positive picture: the data hold 6 of them in 2 groups"):
        split(rows, CutPool())


def test_unlabeled_rows_only_train_and_no_purpose_reads_them() -> None:
    unlabeled = sample_rows([-1] * 30, source="dashcam")
    ledger = split(pd.concat([POOL, unlabeled], ignore_index=True), CutPool())
    assert set(ledger.unlabeled()["split"]) == {"train"}
    assert len(ledger.unlabeled()) == 30
    assert all((ledger.rows(purpose)["label"] >= 0).all() for purpose in Purpose)


def test_unlabeled_rows_related_to_validation_pictures_are_left_out() -> None:
    unlabeled = sample_rows([-1] * 60, source="street", groups=[f"drive{k}" for k in range(60)], role="train")
    ledger = split(pd.concat([POOL, unlabeled], ignore_index=True), CutPool())
    held_out = set(ledger.samples.loc[ledger.samples["split"] != "train", "group"])
    assert 0 < len(ledger.unlabeled()) < 60
    assert not held_out & set(ledger.unlabeled()["group"])


def test_unlabeled_validation_rows_are_left_out() -> None:
    rows = pd.concat([train_and_val(), sample_rows([-1], role="val", source="other")], ignore_index=True)
    assert len(split(rows, CutValidation()).samples) == len(rows) - 1


def test_unlabeled_rows_do_not_move_the_cut_of_the_others(ledger: SplitLedger) -> None:
    unlabeled = sample_rows([-1] * 60, source="street", groups=[f"drive{k}" for k in range(60)], role="train")
    with_more = split(pd.concat([POOL, unlabeled], ignore_index=True), CutPool()).samples
    labelled = with_more[with_more["label"] >= 0].reset_index(drop=True)
    assert labelled.equals(ledger.samples)


def test_the_same_file_under_two_names_in_two_splits_is_found() -> None:
    rows = POOL.copy()
    rows.loc[1:, "sha256"] = rows["sha256"].where(rows.index % 40 != 7, "ab" * 32)
    with pytest.raises(LedgerError, match=r"the same picture \(sha256 abab"):
        split(rows, CutPool())


def planted(ledger: SplitLedger, column: str) -> SplitLedger:
    """The ledger after a training row's value was copied over that of a test row."""
    samples = ledger.samples.copy()
    train, test = (samples.index[samples["split"] == part][0] for part in ("train", "val_test"))
    samples.loc[test, column] = samples.loc[train, column]
    return replace(ledger, samples=samples)


@pytest.mark.parametrize(
    ("column", "message"), [("sha256", "the same picture"), ("group", "one group"), ("id", "in the ledger twice")]
)
def test_a_planted_leak_is_found_and_named(ledger: SplitLedger, column: str, message: str) -> None:
    leaking = planted(ledger, column)
    train = ledger.samples.loc[ledger.samples["split"] == "train", column].iloc[0]
    with pytest.raises(LedgerError, match=message) as error:
        require_disjoint(leaking)
    assert train in str(error.value)


def test_a_group_in_both_halves_of_val_calib_is_found(ledger: SplitLedger) -> None:
    samples = ledger.samples.copy()
    several = samples.groupby("group")["id"].transform("size") > 1
    row = samples.index[(samples["half"] == "fit") & several][0]
    samples.loc[row, "half"] = "certify"
    with pytest.raises(LedgerError, match=r"one group .* val_calib certify|one group .* val_calib fit"):
        require_disjoint(replace(ledger, samples=samples))


def test_a_saved_ledger_comes_back_the_same(ledger: SplitLedger, tmp_path: Path) -> None:
    ledger.save(tmp_path / "ledger")
    back = SplitLedger.load(tmp_path / "ledger")
    assert (back.digest, back.config) == (ledger.digest, ledger.config)
    assert back.samples.equals(ledger.samples)
    assert back.samples.dtypes.equals(ledger.samples.dtypes)


def test_a_label_changed_on_disk_is_found(ledger: SplitLedger, tmp_path: Path) -> None:
    ledger.save(tmp_path)
    rows = pd.read_parquet(tmp_path / "ledger.parquet")
    rows.loc[0, "label"] = 1 - rows.loc[0, "label"]
    rows.to_parquet(tmp_path / "ledger.parquet", index=False)
    with pytest.raises(LedgerError, match="one of them was changed"):
        SplitLedger.load(tmp_path)


@pytest.mark.parametrize("file", ["ledger.parquet", "splits.json"])
def test_a_damaged_or_missing_file_is_refused(ledger: SplitLedger, tmp_path: Path, file: str) -> None:
    ledger.save(tmp_path)
    (tmp_path / file).write_bytes((tmp_path / file).read_bytes()[:100])
    with pytest.raises(LedgerError, match="no readable split ledger"):
        SplitLedger.load(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(LedgerError, match="no readable split ledger"):
        SplitLedger.load(tmp_path)


def test_splits_json_counts_every_row_once_and_carries_the_openings(ledger: SplitLedger, tmp_path: Path) -> None:
    log = AccessLog(tmp_path / "access.jsonl")
    rows = ledger.rows_digest(Purpose.FINAL_EVALUATION)
    log.record("opened", Purpose.FINAL_EVALUATION, subject="model", rows_digest=rows, reason="first candidate")
    ledger.save(tmp_path / "ledger", log.entries())
    summary = SplitSummary.from_json_file(tmp_path / "ledger" / "splits.json")
    assert summary == ledger.summary(log.entries())
    assert sum(c.negatives + c.positives + c.unlabeled for c in summary.cells) == len(ledger.samples)
    assert sum(s.share_of_cut for s in summary.splits) == pytest.approx(1)
    assert summary.rows_digests[Purpose.FINAL_EVALUATION] == rows
    assert [entry.reason for entry in summary.openings] == ["first candidate"]
    assert json.loads(summary.to_json())["config"]["seed"] == 0


def test_rows_of_different_purposes_have_different_digests(ledger: SplitLedger) -> None:
    assert len({ledger.rows_digest(purpose) for purpose in Purpose}) == len(Purpose)

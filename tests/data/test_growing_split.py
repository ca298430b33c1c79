"""Splits that continue earlier ones: no picture moves, new ones fill up what is lacking."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stage1_core.data.ledger import REMEMBERED_FILE, CutPool, CutValidation, SplitLedger, require_disjoint, split
from stage1_core.errors import AuditError, LedgerError
from stage1_core.splits import Split
from tests.data.sample_rows import sample_rows

FIRST = sample_rows([0, 0, 1] * 40, groups=[f"drive{row // 2:04d}" for row in range(120)])


def drives(prefix: str, count: int, *, role: str = "pool", source: str = "street") -> pd.DataFrame:
    """Each drive has two pictures; every third one shows roadwork."""
    rows = sample_rows(
        [1 if row // 2 % 3 == 0 else 0 for row in range(2 * count)],
        groups=[f"{prefix}{row // 2:04d}" for row in range(2 * count)],
        role=role,
        source=source,
        files=[f"{prefix} {row}" for row in range(2 * count)],
    )
    return rows.assign(id=[f"{source}/{prefix}_{row:05d}.jpg" for row in range(2 * count)])


def joined(*tables: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True)


def places(ledger: SplitLedger) -> dict[str, str]:
    """Split and half by file: pictures may be renamed."""
    rows = ledger.samples
    return dict(zip(rows["sha256"], rows["split"] + " " + rows["half"], strict=True))


def require_unmoved(before: SplitLedger, after: SplitLedger) -> None:
    old, new = places(before), places(after)
    assert {file: new[file] for file in old.keys() & new.keys()} == {
        file: old[file] for file in old.keys() & new.keys()
    }


def some_row(ledger: SplitLedger, part: str, half: str = "") -> pd.Series:
    rows = ledger.samples
    return rows[(rows["split"] == part) & (rows["half"] == half)].iloc[0]


@pytest.fixture(scope="module")
def first() -> SplitLedger:
    return split(FIRST, CutPool())


def test_without_new_rows_it_is_the_same_ledger_also_in_its_file(first: SplitLedger) -> None:
    again = split(FIRST.sample(frac=1, random_state=1), CutPool(), first)
    assert (again.digest, again.summary()) == (first.digest, first.summary())
    assert again.samples.equals(first.samples)


def test_a_ledger_that_continues_another_says_so_and_keeps_the_origin(first: SplitLedger) -> None:
    second = split(joined(FIRST, drives("week2_", 9)), CutPool(), first)
    third = split(joined(FIRST, drives("week2_", 9), drives("week3_", 9)), CutPool(), second)
    assert (first.history, first.origin) == (None, first.digest)
    assert (third.history.continues, third.history.origin) == (second.digest, first.digest)
    again = split(joined(FIRST, drives("week2_", 9), drives("week3_", 9)), CutPool(), third)
    assert again.summary() == third.summary()


def test_the_digest_says_what_is_in_which_split_and_not_how_that_came_to_be(first: SplitLedger) -> None:
    second = split(joined(FIRST, drives("week2_", 9)), CutPool(), first)
    back = split(FIRST, CutPool(), second)
    assert back.digest == first.digest
    assert back.history.continues == second.digest


@st.composite
def weeks(draw: st.DrawFn) -> list[pd.DataFrame]:
    """Tables of later weeks: pictures come, alone or into known drives, vanish, come back and get other labels."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    everything, tables = FIRST, []
    for week in range(draw(st.integers(1, 4))):
        new = drives(f"week{week}_", draw(st.integers(0, 12)))
        into_known = rng.random(len(new)) < 0.3
        new.loc[into_known, "group"] = rng.choice(everything["group"].unique(), int(into_known.sum()))
        new.loc[rng.random(len(new)) < 0.2, "label"] = -1
        everything = joined(everything, new)
        flipped = (rng.random(len(everything)) < 0.05) & (everything["label"] >= 0)
        labelled_now = (rng.random(len(everything)) < 0.5) & (everything["label"] < 0)
        everything["label"] = everything["label"].mask(flipped, 1 - everything["label"]).mask(labelled_now, 1)
        present = everything[rng.random(len(everything)) > 0.1]
        bridged = rng.choice(present["group"].unique(), 2)
        joins = draw(st.booleans())
        tables.append(present.assign(group=present["group"].replace({bridged[0]: bridged[1]} if joins else {})))
    return tables


@given(tables=weeks(), seed=st.integers(0, 5))
@settings(max_examples=30)
def test_no_picture_ever_moves_whatever_comes_goes_or_joins(tables: list[pd.DataFrame], seed: int) -> None:
    ledgers = [split(FIRST, CutPool(seed=seed))]
    ever = places(ledgers[0])
    for table in tables:
        ledger = split(table, CutPool(seed=seed), ledgers[-1])
        now = places(ledger)
        assert {file: ever[file] for file in now.keys() & ever.keys()} == {f: now[f] for f in now.keys() & ever.keys()}
        require_disjoint(ledger)
        shuffled = table.sample(frac=1, random_state=seed)
        assert split(shuffled, CutPool(seed=seed), ledgers[-1]).summary() == ledger.summary()
        assert split(table, CutPool(seed=seed), ledger).summary() == ledger.summary()
        ever |= now
        ledgers.append(ledger)


@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=6), seed=st.integers(0, 5))
@settings(max_examples=15)
def test_shares_come_back_to_within_the_largest_drive(sizes: list[int], seed: int) -> None:
    table, config = FIRST, CutPool(seed=seed)
    ledger = split(table, config)
    for week, size in enumerate(sizes):
        table = joined(table, drives(f"week{week}_", size))
        ledger = split(table, config, ledger)
    for label in (0, 1):
        of_class = ledger.samples[ledger.samples["label"] == label]
        for part, share in config.shares().items():
            assert abs((of_class["split"] == part.value).sum() - float(share) * len(of_class)) <= 4


def test_one_drive_a_week_reaches_every_split_and_both_halves(first: SplitLedger) -> None:
    table, ledger = FIRST, first
    for week in range(40):
        table = joined(table, drives(f"week{week:02d}_", 1))
        ledger = split(table, CutPool(), ledger)
    new = ledger.samples[ledger.samples["group"].str.contains("week")]
    assert (new["split"] + new["half"]).nunique() == 5
    assert new["split"].value_counts(normalize=True)["train"] == pytest.approx(0.5, abs=0.05)


def test_lopsided_splits_are_made_up_for(first: SplitLedger) -> None:
    kept = first.samples[first.samples["split"] == "train"]
    rest = first.samples[first.samples["split"] != "train"].groupby("group").head(1)
    table = joined(kept, rest)[FIRST.columns]
    grown = split(joined(table, drives("more", 120)), CutPool(), split(table, CutPool(), first))
    cut = grown.samples["split"].value_counts(normalize=True)
    assert cut[["train", "val_select", "val_calib", "val_test"]].to_numpy() == pytest.approx(
        [0.5, 0.15, 0.2, 0.15], abs=0.02
    )


@pytest.mark.parametrize("part", list(Split))
def test_a_new_picture_of_an_old_drive_follows_it(first: SplitLedger, part: Split) -> None:
    drive = first.samples[first.samples["split"] == part.value].iloc[0]
    new = drives("new", 1).assign(group=drive["group"])
    rows = split(joined(FIRST, new), CutPool(), first).samples
    assert set(rows.loc[rows["id"].isin(new["id"]), ["split", "half"]].itertuples(index=False, name=None)) == {
        (drive["split"], drive["half"])
    }


def test_a_copy_and_a_renamed_picture_follow_the_file(first: SplitLedger) -> None:
    old = some_row(first, "val_test")
    copy = FIRST[FIRST["id"] == old["id"]].assign(id="street/another name.jpg")
    with_copy = split(joined(FIRST, copy), CutPool(), first).samples.set_index("id")
    assert with_copy.loc["street/another name.jpg", "split"] == "val_test"
    alone = joined(FIRST[FIRST["id"] != old["id"]], copy.assign(group="street/another name.jpg"))
    renamed = split(alone, CutPool(), first).samples.set_index("id")
    assert renamed.loc["street/another name.jpg", "split"] == "val_test"


def test_a_picture_whose_file_was_written_again_stays(first: SplitLedger) -> None:
    old = some_row(first, "val_test")
    table = FIRST.assign(sha256=FIRST["sha256"].mask(FIRST["id"] == old["id"], "ab" * 32))
    assert split(table, CutPool(), first).samples.set_index("id").loc[old["id"], "split"] == "val_test"


def test_a_picture_that_was_away_for_weeks_comes_back_to_where_it_was(first: SplitLedger) -> None:
    away = FIRST[FIRST["group"].isin(first.samples.loc[first.samples["split"] == "val_test", "group"].unique()[:3])]
    second = split(FIRST.drop(away.index), CutPool(), first)
    third = split(joined(FIRST.drop(away.index), drives("week3_", 9)), CutPool(), second)
    assert (second.history.remembered, third.history.remembered) == (len(away), len(away))
    back = split(joined(FIRST, drives("week3_", 9)), CutPool(), third)
    assert set(back.samples.loc[back.samples["id"].isin(away["id"]), "split"]) == {"val_test"}
    assert back.history.remembered == 0


def test_a_new_picture_of_a_drive_whose_pictures_are_all_gone_follows_them(first: SplitLedger) -> None:
    drive = some_row(first, "val_test")["group"]
    new = drives("new", 1).assign(group=drive)
    rows = split(joined(FIRST[FIRST["group"] != drive], new), CutPool(), first).samples
    assert set(rows.loc[rows["group"] == drive, "split"]) == {"val_test"}


def test_a_picture_that_joins_two_parts_is_left_out_and_these_stay_two_groups(first: SplitLedger) -> None:
    train, test = some_row(first, "train")["group"], some_row(first, "val_test")["group"]
    bridge = drives("bridge", 1).assign(group=train).head(1)
    table = joined(FIRST, bridge).replace({"group": {test: train}})
    ledger = split(table, CutPool(), first)
    require_unmoved(first, ledger)
    require_disjoint(ledger)
    assert bridge["id"].iloc[0] not in set(ledger.samples["id"])
    assert ledger.history.left_out == 1
    assert len(ledger.samples) == len(FIRST)
    assert {f"{train} in train", f"{train} in val_test"} <= set(ledger.samples["group"])
    assert "1 new ones fit nowhere" in ledger.summary().in_words()
    assert split(table, CutPool(), ledger).summary() == ledger.summary()


def test_a_picture_that_joins_two_drives_of_one_part_joins_them_to_one_group(first: SplitLedger) -> None:
    one, other = first.samples.loc[first.samples["split"] == "train", "group"].unique()[:2]
    table = joined(FIRST, drives("bridge", 1).assign(group=one)).replace({"group": {other: one}})
    ledger = split(table, CutPool(), first)
    assert ledger.history.left_out == 0
    assert set(ledger.samples.loc[ledger.samples["group"] == one, "split"]) == {"train"}


class TestUnlabeledPictures:
    unlabeled = sample_rows([-1] * 6, source="dashcam")

    def test_one_that_gets_a_label_stays_in_training(self, first: SplitLedger) -> None:
        second = split(joined(FIRST, self.unlabeled), CutPool(), first)
        third = split(joined(FIRST, self.unlabeled.assign(label=1).astype({"label": "int8"})), CutPool(), second)
        assert set(third.samples.loc[third.samples["source"] == "dashcam", "split"]) == {"train"}
        assert third.history.left_out == 0

    def test_one_that_turns_out_to_be_related_to_a_test_picture_does_not_move_there(self, first: SplitLedger) -> None:
        second = split(joined(FIRST, self.unlabeled), CutPool(), first)
        drive = some_row(first, "val_test")["group"]
        labelled = self.unlabeled.assign(label=1, group=drive).astype({"label": "int8"})
        third = split(joined(FIRST, labelled), CutPool(), second)
        assert "dashcam" not in set(third.samples["source"])
        assert third.history.left_out == len(labelled)

    def test_one_related_to_a_validation_picture_is_left_out_as_ever(self, first: SplitLedger) -> None:
        related = self.unlabeled.assign(group=some_row(first, "val_test")["group"])
        second = split(joined(FIRST, related), CutPool(), first)
        assert "dashcam" not in set(second.samples["source"])
        assert second.digest == first.digest


class TestGivenBoundaries:
    table = joined(drives("t", 20, role="train", source="a"), drives("v", 60, role="val", source="b"))

    def test_validation_rows_stay_and_new_ones_are_cut(self) -> None:
        first = split(self.table, CutValidation())
        more = joined(self.table, drives("more", 30, role="val", source="b"), drives("u", 9, role="train", source="a"))
        second = split(more, CutValidation(), first)
        require_unmoved(first, second)
        assert set(second.samples.loc[second.samples["role"] == "train", "split"]) == {"train"}
        cut = second.samples.loc[second.samples["role"] == "val", "split"].value_counts(normalize=True)
        assert cut.to_numpy() == pytest.approx([0.34, 0.33, 0.33], abs=0.03)

    def test_a_picture_that_was_trained_on_does_not_become_a_validation_picture(self) -> None:
        first = split(self.table, CutValidation())
        now_val = self.table["id"] == "a/t_00000.jpg"
        table = self.table.assign(
            role=self.table["role"].mask(now_val, "val"), group=self.table["group"].mask(now_val, "a/alone")
        )
        second = split(table, CutValidation(), first)
        assert "a/t_00000.jpg" not in set(second.samples["id"])
        assert (second.history.left_out, second.history.remembered) == (1, 1)

    def test_a_validation_picture_does_not_become_one_to_train_on(self) -> None:
        first = split(self.table, CutValidation())
        drive = self.table["group"] == "b/v0000"
        second = split(self.table.assign(role=self.table["role"].mask(drive, "train")), CutValidation(), first)
        assert "b/v0000" not in set(second.samples["group"])
        assert second.history.left_out == 2

    def test_a_group_on_both_sides_is_refused_as_ever(self) -> None:
        first = split(self.table, CutValidation())
        table = self.table.replace({"group": {"b/v0000": "a/t0000"}})
        with pytest.raises(AuditError, match="role 'train' and in role 'val'"):
            split(table, CutValidation(), first)

    def test_rows_that_only_train_do_not_join_a_validation_group_of_a_pool(self, first: SplitLedger) -> None:
        extra = drives("extra", 2, role="train", source="rendered").assign(group=some_row(first, "val_test")["group"])
        second = split(joined(FIRST, extra), CutPool(), first)
        require_unmoved(first, second)
        assert "rendered" not in set(second.samples["source"])
        assert second.history.left_out == len(extra)


def test_another_seed_or_other_shares_cannot_continue_it(first: SplitLedger) -> None:
    for config in (CutPool(seed=1), CutPool(train=0.4, test=0.25), CutValidation()):
        with pytest.raises(LedgerError, match="keep seed and shares"):
            split(FIRST, config, first)


class TestFiles:
    @pytest.fixture
    def second(self, first: SplitLedger) -> SplitLedger:
        return split(joined(FIRST.iloc[10:], drives("more", 9)), CutPool(), first)

    def test_a_continuing_ledger_comes_back_the_same(self, second: SplitLedger, tmp_path: Path) -> None:
        second.save(tmp_path)
        back = SplitLedger.load(tmp_path)
        assert back.summary() == second.summary()
        assert back.placed().equals(second.placed())

    def test_a_changed_memory_is_found(self, second: SplitLedger, tmp_path: Path) -> None:
        second.save(tmp_path)
        replace(second, remembered=second.remembered.assign(split="val_select")).remembered.to_parquet(
            tmp_path / REMEMBERED_FILE
        )
        with pytest.raises(LedgerError, match=r"remembered.parquet has digest"):
            SplitLedger.load(tmp_path)

    def test_a_lost_memory_is_found(self, second: SplitLedger, tmp_path: Path) -> None:
        second.save(tmp_path)
        (tmp_path / REMEMBERED_FILE).unlink()
        with pytest.raises(LedgerError, match="no readable split ledger"):
            SplitLedger.load(tmp_path)

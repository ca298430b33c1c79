from __future__ import annotations

import dataclasses
import statistics

import numpy as np
import pytest

from stage1_core.compute import HERE, DaskLocalCompute
from stage1_core.digests import digest_of_file
from stage1_core.errors import SplitUseError
from stage1_core.model.head import HeadConfig
from stage1_core.model.head_files import WEIGHTS_FILE, save_head
from stage1_core.splits import Purpose
from stage1_core.training.correctness_gate import CorrectnessGateConfig
from stage1_core.training.fitting import fit_head
from stage1_core.training.selection import SelectionConfig, SelectionMetric
from stage1_core.training.sweep import SeedResult, Spread, sweep
from tests.training.toys import feature_rows, select_rows, training

HEAD = HeadConfig(hidden=16)
BY_AUGRC = training(selection=SelectionConfig(metric=SelectionMetric.AUGRC, patience=2), epochs=6)
GATED = HeadConfig(hidden=16, gated=True), training(objective=CorrectnessGateConfig(folds=2), epochs=2)
GROUPS = np.array([f"place {number}" for number in range(75)])


def swept(head=HEAD, config=BY_AUGRC, seeds=(3, 0, 11), compute=HERE, **options) -> tuple[SeedResult, ...]:
    return sweep(head, config, feature_rows(), GROUPS, select_rows(), seeds=seeds, compute=compute, **options)


@pytest.mark.parametrize(("head", "config"), [(HEAD, BY_AUGRC), GATED], ids=["classes", "gate"])
def test_each_seed_gives_the_bits_that_it_gives_alone(head, config, tmp_path):
    for result in swept(head, config):
        folder = tmp_path / str(result.seed)
        alone = config.model_copy(update={"seed": result.seed})
        model, state = fit_head(head, alone, feature_rows(), GROUPS, select_rows(), folder, identity="alone")
        save_head(model, folder)
        best = state.kept[config.selection.metric]
        assert result.head_digest == digest_of_file(folder / WEIGHTS_FILE)
        assert (result.epoch, result.epochs) == (best.epoch, state.epoch)
        assert getattr(result.metrics, config.selection.metric.value) == best.value


def test_seeds_differ_and_keep_their_order():
    results = swept()
    assert [result.seed for result in results] == [3, 0, 11]
    assert len({result.head_digest for result in results}) == 3
    assert swept(config=BY_AUGRC.model_copy(update={"seed": 99})) == results


def test_progress_counts_seeds():
    seen: list[tuple[int, int]] = []
    swept(seeds=(1, 2), on_progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]


def test_rows_of_another_purpose_are_refused():
    certifying = dataclasses.replace(select_rows(), purpose=Purpose.CERTIFY_POLICY)
    with pytest.raises(SplitUseError, match="certify_policy"):
        sweep(HEAD, BY_AUGRC, feature_rows(), GROUPS, certifying, seeds=(1,), compute=HERE)


def test_a_spread_is_that_of_a_sample_and_undefined_for_one():
    values = [0.9, 0.92, 0.97]
    spread = Spread.of(values)
    assert (spread.mean, spread.n) == (pytest.approx(0.93), 3)
    assert spread.standard_deviation == pytest.approx(np.std(values, ddof=1)) == statistics.stdev(values)
    assert Spread.of([0.9]) == Spread(mean=0.9, standard_deviation=None, n=1)


@pytest.mark.slow
def test_worker_processes_give_the_same_bits():
    assert swept(compute=DaskLocalCompute(workers=2)) == swept()

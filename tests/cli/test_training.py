"""`stage1 features` and `stage1 train`: single steps, with a configuration or with the historical options."""

from __future__ import annotations

import csv

import pytest

from stage1_core.model.head_files import load_head
from stage1_core.phases.baseline import BaselineConfig
from tests.integration.toys import draw_pictures, toy_training
from tests.model.backbone_folders import dinov3_vit


def test_features_are_computed_once(stage1, config_file, tmp_path):
    first = stage1("features", "--config", config_file)
    assert (first.code, first.err) == (0, "")
    assert "160 pictures have features of length 64" in first.out
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "workspace" / "features").rglob("*.bin")}
    assert stage1("features", "--config", config_file).out == first.out
    assert files == {path: path.stat().st_mtime_ns for path in files}


def test_a_configuration_gives_a_head_with_its_log_and_configuration(stage1, config, config_file, tmp_path):
    code, out, _ = stage1("train", "--config", config_file, "--output-dir", tmp_path / "model")
    assert code == 0
    assert "epoch 4: loss" in out
    assert "(n = 32)" in out
    assert load_head(tmp_path / "model").in_features == 64
    assert BaselineConfig.from_json_file(tmp_path / "model" / "config.json") == config
    rows = list(csv.DictReader((tmp_path / "model" / "metrics.csv").read_text().splitlines()))
    assert [row["Epoch"] for row in rows] == ["1", "2", "3", "4"]


def test_the_same_command_again_trains_nothing(stage1, config_file, tmp_path):
    stage1("train", "--config", config_file, "--output_dir", tmp_path / "model")
    head = (tmp_path / "model" / "head.safetensors").read_bytes()
    code, out, _ = stage1("train", "--config", config_file, "--output_dir", tmp_path / "model")
    assert code == 0
    assert "epoch" not in out.replace("best epoch", "")
    assert (tmp_path / "model" / "head.safetensors").read_bytes() == head


def test_another_configuration_is_not_mixed_into_an_earlier_training(
    stage1, config, config_file, tmp_path, write_config
):
    stage1("train", "--config", config_file, "--output_dir", tmp_path / "model")
    files = {path: path.read_bytes() for path in (tmp_path / "model").rglob("*") if path.is_file()}
    other = write_config(config.model_copy(update={"training": toy_training(seed=9)}))
    code, _, err = stage1("train", "--config", other, "--output_dir", tmp_path / "model")
    assert code == 2
    assert "belongs to another configuration" in err
    assert {path: path.read_bytes() for path in files} == files


@pytest.fixture
def historical_data(tmp_path):
    """The historical layout: a folder and a CSV for training, the same for validation."""
    options = []
    for role, count in (("train", 24), ("val", 36)):
        folder = draw_pictures(tmp_path / role, count, first_seed=1000 * count)
        options += [f"--{role}_image_dir", folder / "images", f"--{role}_labels_file", folder / "labels.csv"]
    return options


def test_the_historical_options_mean_what_they_meant(stage1, historical_data, tmp_path):
    backbone = dinov3_vit(tmp_path / "backbone").model
    options = {
        "model_path": backbone, "output_dir": tmp_path / "model", "epochs": 2, "warmup_epochs": 1, "lr_head": 2e-4,
        "weight_decay": 0.05, "label_smoothing": 0.2, "dropout": 0.4, "max_grad_norm": 2.0, "max_batch_size": 8,
        "fallback_batch_size": 4, "grad_accum_steps": 3, "ema_decay": 0.99, "early_stop_patience": 2, "seed": 3,
        "legacy_exit_threshold_for_logging": 0.6,
    }  # fmt: skip
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    code, out, err = stage1("train", *historical_data, *words, "--no_amp")
    assert code == 0, err
    assert "epoch 2" in out
    config = BaselineConfig.from_json_file(tmp_path / "model" / "config.json")
    training = config.training
    assert config.backbone.model == backbone
    assert config.head.dropout == 0.4
    assert (training.epochs, training.seed, training.max_grad_norm, training.precision) == (2, 3, 2.0, "fp32")
    assert (training.optimizer.lr_head, training.optimizer.weight_decay) == (2e-4, 0.05)
    assert training.objective.label_smoothing == 0.2
    assert (training.batch.sizes, training.batch.accumulation.micro_batches) == ((8, 4), 3)
    assert (training.average.decay, training.selection.patience) == (0.99, 2)
    assert training.epoch_log.legacy_exit_threshold_for_logging == 0.6
    assert load_head(tmp_path / "model").in_features == 32


def test_the_average_can_be_switched_off(stage1, historical_data, tmp_path):
    backbone = dinov3_vit(tmp_path / "backbone").model
    words = ["--model_path", backbone, "--output_dir", tmp_path / "model", "--epochs", "1", "--no_ema"]
    assert stage1("train", *historical_data, *words).code == 0
    assert BaselineConfig.from_json_file(tmp_path / "model" / "config.json").training.average.kind == "none"


def test_features_alone_can_be_asked_for_under_the_old_name(stage1, config_file, tmp_path):
    words = ["--config", config_file, "--mode", "extract_features", "--output_dir", tmp_path / "model"]
    assert stage1("train", *words).code == 0
    assert list((tmp_path / "workspace" / "features").rglob("features.f32"))
    assert not (tmp_path / "model").exists()


def test_a_head_can_be_trained_on_augmented_pictures(stage1, config, write_config, tmp_path):
    path = write_config(config.model_copy(update={"training": toy_training(epochs=1)}))
    words = ["--config", path, "--mode", "train", "--augmentation", "aggressive", "--output_dir", tmp_path / "model"]
    code, out, err = stage1("train", *words)
    assert code == 0, err
    assert "epoch 1: loss" in out
    assert load_head(tmp_path / "model").in_features == 64


def test_there_is_no_target_coverage(stage1):
    code, _, err = stage1("train", "--target_coverage", "0.8")
    assert code == 2
    assert "target_coverage" in err

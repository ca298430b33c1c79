"""`stage1 features` and `stage1 train`: single steps without a flow, for looking around and for old scripts."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


def features(
    config: Annotated[Path, typer.Option(help="YAML or JSON configuration of a baseline.")],
) -> None:
    """Compute the features of all labelled pictures that the cache does not hold yet."""
    from stage1_cli._configuration import read_config
    from stage1_cli._environment import prepare_environment
    from stage1_cli._steps import all_features, prepared_ledger
    from stage1_core.phases.baseline import BaselineConfig
    from tasks._workspace import feature_folder

    prepare_environment()
    chosen = read_config(BaselineConfig, config)
    found = all_features(chosen, prepared_ledger(chosen))
    typer.echo(f"{len(found)} pictures have features of length {found.values.shape[1]} in {feature_folder()}")


class Mode(StrEnum):
    """What `stage1 train` does; the names are the historical trainer's."""

    EXTRACT_FEATURES = "extract_features"
    TRAIN_CACHED = "train_cached"
    TRAIN = "train"


class Augmentation(StrEnum):
    """What training pictures go through in mode `train`."""

    NONE = "none"
    MODERATE = "moderate"
    AGGRESSIVE = "aggressive"


def train(
    mode: Annotated[
        Mode, typer.Option(help="Compute features; train on cached features; or train on augmented pictures.")
    ] = Mode.TRAIN_CACHED,
    augmentation: Annotated[Augmentation, typer.Option(help="Of training pictures in mode train.")] = (
        Augmentation.MODERATE
    ),
    config: Annotated[
        Path | None, typer.Option(help="YAML or JSON configuration of a baseline, instead of the options below.")
    ] = None,
    output_dir: Annotated[Path, typer.Option("--output_dir", "--output-dir", help="Folder for the head.")] = Path(
        "models/stage1"
    ),
    model_path: Annotated[
        str, typer.Option("--model_path", help="Backbone: folder or hub id.")
    ] = "facebook/dinov3-vith16plus-pretrain-lvd1689m",
    train_image_dir: Annotated[Path, typer.Option("--train_image_dir", help="Training pictures.")] = Path(
        "data/natix_official/train"
    ),
    train_labels_file: Annotated[Path, typer.Option("--train_labels_file", help="CSV of name,label.")] = Path(
        "data/natix_official/train_labels.csv"
    ),
    val_image_dir: Annotated[Path, typer.Option("--val_image_dir", help="Validation pictures.")] = Path(
        "data/natix_official/val"
    ),
    val_labels_file: Annotated[Path, typer.Option("--val_labels_file", help="CSV of name,label.")] = Path(
        "data/natix_official/val_labels.csv"
    ),
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training rows.")] = 10,
    warmup_epochs: Annotated[int, typer.Option("--warmup_epochs", min=0, help="Epochs of linear warm-up.")] = 1,
    lr_head: Annotated[float, typer.Option("--lr_head", min=0, help="Peak learning rate of the head.")] = 1e-4,
    weight_decay: Annotated[float, typer.Option("--weight_decay", min=0, help="Of AdamW.")] = 0.01,
    label_smoothing: Annotated[float, typer.Option("--label_smoothing", min=0, max=0.5, help="Fraction.")] = 0.1,
    dropout: Annotated[float, typer.Option(min=0, max=0.99, help="Probability.")] = 0.3,
    max_grad_norm: Annotated[
        float, typer.Option("--max_grad_norm", min=0, help="Gradient norm is clipped here.")
    ] = 1.0,
    max_batch_size: Annotated[int, typer.Option("--max_batch_size", min=1, help="Rows, tried first.")] = 64,
    fallback_batch_size: Annotated[int, typer.Option("--fallback_batch_size", min=1, help="Rows, tried next.")] = 32,
    grad_accum_steps: Annotated[int, typer.Option("--grad_accum_steps", min=1, help="Micro-batches a step.")] = 2,
    ema_decay: Annotated[float, typer.Option("--ema_decay", min=0, max=1, help="Of the weight average.")] = 0.9999,
    no_ema: Annotated[bool, typer.Option("--no_ema", help="Do not average weights.")] = False,
    no_amp: Annotated[bool, typer.Option("--no_amp", help="Compute in fp32.")] = False,
    early_stop_patience: Annotated[int, typer.Option("--early_stop_patience", min=1, help="Epochs.")] = 3,
    legacy_exit_threshold_for_logging: Annotated[
        float,
        typer.Option("--legacy_exit_threshold_for_logging", min=0.5, max=1, help="For metrics.csv; decides nothing."),
    ] = 0.88,
    seed: Annotated[int, typer.Option(min=0, help="Of every random draw.")] = 0,
) -> None:
    """Train a head behind a frozen backbone, without a flow.

    With --config, as that configuration says. Else as the historical trainer's options say, under their old names, with
    its data layout and its schedule counted correctly. Writes head.safetensors, head.json, metrics.csv and config.json.
    A killed training continues when the same command is given again. There is no --target_coverage: coverage is what
    the certificate allows.
    """
    from pydantic import TypeAdapter

    from stage1_cli._configuration import read_config
    from stage1_cli._environment import prepare_environment
    from stage1_cli._historical import HistoricalOptions
    from stage1_cli._steps import all_features, prepared_ledger, train_on_features, train_on_pictures
    from stage1_core.data.transforms import AugmentConfig
    from stage1_core.phases.baseline import BaselineConfig

    prepare_environment()
    if config is not None:
        chosen = read_config(BaselineConfig, config)
    else:
        chosen = HistoricalOptions(
            model_path=model_path,
            train=(train_image_dir, train_labels_file),
            val=(val_image_dir, val_labels_file),
            epochs=epochs,
            warmup_epochs=warmup_epochs,
            lr_head=lr_head,
            weight_decay=weight_decay,
            label_smoothing=label_smoothing,
            dropout=dropout,
            max_grad_norm=max_grad_norm,
            batch_sizes=(max_batch_size, fallback_batch_size),
            grad_accum_steps=grad_accum_steps,
            ema_decay=None if no_ema else ema_decay,
            precision="fp32" if no_amp else "auto",
            early_stop_patience=early_stop_patience,
            legacy_exit_threshold_for_logging=legacy_exit_threshold_for_logging,
            seed=seed,
        ).to_config()
    if mode is Mode.EXTRACT_FEATURES:
        all_features(chosen, prepared_ledger(chosen))
    elif mode is Mode.TRAIN_CACHED:
        train_on_features(chosen, output_dir)
    else:
        augment: AugmentConfig = TypeAdapter(AugmentConfig).validate_python({"kind": augmentation.value})
        train_on_pictures(chosen, augment, output_dir)

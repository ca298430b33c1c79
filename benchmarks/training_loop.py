"""Throughput of training against a minimal PyTorch loop that does the same work, in one run.

Usage: python -m benchmarks.training_loop [--rows 1300] [--features 1280] [--epochs 10] [--rounds 5]
       python -m benchmarks.training_loop --pictures 128 [--adapter lora] [--epochs 2] [--average none]

The first form fits a head on cached features; ours is `train`. The second fits a vision transformer of the shipped
one's size, end to end on JPEG pictures that both sides read, check, decode and augment alike; ours is `run_training`,
with its log and its checkpoints on disk.

The peer is written by hand: AdamW (fused), weighted and smoothed cross-entropy, clipping, weight averaging, cosine, an
accumulation of 2 and validation after each epoch; no metrics, no state, no determinism. The first epoch does not count
on either side: before it ours tries the batch size, which costs a step, and worker processes start. Rounds alternate
and the medians of their ratios are printed, by the clock and by CPU time, which other programs on the machine disturb
less. A ratio of 1 means as fast as the peer; the goal is at least 0.9.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from benchmarks.adaptation import SHARED, SIZE, TRANSFORM, labelled_pictures
from stage1_core.adaptation.arm import default_arms
from stage1_core.adaptation.distillation import save_student, untrained_student
from stage1_core.data.loading import PicturesDataset
from stage1_core.model.adapters.adapted import adapt
from stage1_core.model.backbone import load_backbone
from stage1_core.model.backbone_config import TransformersBackboneConfig
from stage1_core.model.classifier import Classifier
from stage1_core.model.head import HeadConfig, build_head
from stage1_core.splits import Purpose
from stage1_core.training.averaging import NoAverageConfig
from stage1_core.training.config import TrainingConfig
from stage1_core.training.loop import train
from stage1_core.training.picture_rows import PictureRows
from stage1_core.training.rows import FeatureRows
from stage1_core.training.selection import SelectionConfig
from stage1_core.training.session import run_training

Seconds = np.ndarray[tuple[int], np.dtype[np.float64]]
Batches = Callable[[], Iterator[tuple[Tensor, Tensor]]]
"""One pass over (inputs, labels)."""


@dataclass(frozen=True, slots=True)
class Contest:
    """The two ways to do the same work, and how many rows an epoch has."""

    rows: int
    peer: Callable[[TrainingConfig], Seconds]
    ours: Callable[[TrainingConfig], Seconds]


def clocks() -> Seconds:
    """Seconds by the wall clock, and of CPU time of this process."""
    return np.array([time.perf_counter(), time.process_time()])


def make_rows(purpose: Purpose, rows: int, features: int, seed: int) -> FeatureRows:
    """Two overlapping Gaussian classes."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, rows)
    values = draw.normal(size=(rows, features)).astype(np.float32)
    values[:, :20] += np.float32(0.3) * (2 * labels[:, None] - 1)
    return FeatureRows.of(purpose, np.array([f"{purpose}/{index}" for index in range(rows)]), values, labels)


def minimal_loop(
    model: nn.Module, fit: Batches, select: Batches, counts: Tensor, config: TrainingConfig, device: torch.device
) -> Seconds:
    """Seconds after the first epoch, of the same mathematics and nothing else; ``counts``: rows of each class."""
    model.to(device)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    averages = not isinstance(config.average, NoAverageConfig)
    values = [parameter.detach() for parameter in parameters]
    average = [value.clone() for value in values]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.01, fused=True)
    rows, size, steps = int(counts.sum()), config.batch.sizes[0], 0
    weight = (rows / (2 * counts.float())).to(device)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.epochs * -(-rows // (2 * size)))
    precise = device.type == "cpu"

    def logits_of(inputs: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=not precise):
            logits: Tensor = model(inputs.to(device, non_blocking=True))
        return logits.float()

    moments = []
    for _ in range(config.epochs):
        model.train()
        batches = list(range(-(-rows // size)))
        for (inputs, labels), batch in zip(fit(), batches, strict=True):
            loss = nn.functional.cross_entropy(logits_of(inputs), labels.to(device), weight, label_smoothing=0.1)
            (loss / 2).backward()  # type: ignore[no-untyped-call]
            if batch % 2 == 0 and batch != batches[-1]:
                continue
            torch.nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            if averages:
                decay = min(0.9999, (1 + steps) / (10 + steps))
                with torch.no_grad():
                    torch._foreach_lerp_(average, values, 1 - decay)
            steps += 1
        model.eval()
        with torch.no_grad():
            torch.cat([logits_of(inputs) for inputs, _ in select()]).cpu()
        moments.append(clocks())
    return moments[-1] - moments[0]


def on_features(rows: int, features: int, device: torch.device) -> Contest:
    """A head on cached features."""
    fit = make_rows(Purpose.FIT_WEIGHTS, rows, features, 0)
    select = make_rows(Purpose.SELECT_MODEL, max(rows // 4, 64), features, 1)
    counts = torch.from_numpy(np.bincount(fit.labels))

    def peer(config: TrainingConfig) -> Seconds:
        torch.manual_seed(0)
        head = nn.Sequential(nn.Linear(features, 768), nn.ReLU(), nn.Dropout(0.3), nn.Linear(768, 2))
        inputs, labels = fit.features.to(device), torch.from_numpy(fit.labels).to(device)
        held_out, size = select.features.to(device), config.batch.sizes[0]

        def shuffled() -> Iterator[tuple[Tensor, Tensor]]:
            return ((inputs[index], labels[index]) for index in torch.split(torch.randperm(rows).to(device), size))

        def in_order() -> Iterator[tuple[Tensor, Tensor]]:
            return ((part, part) for part in torch.split(held_out, size))

        return minimal_loop(head, shuffled, in_order, counts, config, device)

    def ours(config: TrainingConfig) -> Seconds:
        head = build_head(features, HeadConfig(), seed=0)
        moments = [clocks() for _ in train(head, fit, select, config)]
        return moments[-1] - moments[0]

    return Contest(rows, peer, ours)


class LogitsOf(nn.Module):
    """The class logits alone."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, pixels: Tensor) -> Tensor:
        """``(n, 2)``."""
        logits: Tensor = self.classifier(pixels).class_logits
        return logits


def on_pictures(place: Path, pictures: int, adapter: str, workers: int, device: torch.device) -> Contest:
    """A vision transformer with its head; files are written to ``place``."""
    save_student(untrained_student(SIZE, seed=0), SIZE, place / "vit")
    backbone = load_backbone(TransformersBackboneConfig(model=str(place / "vit")), device="cpu")
    adapters = {arm.name: arm.adapter for arm in default_arms()}
    table = labelled_pictures(place, pictures + pictures // 4)
    fit, select = table.iloc[:pictures], table.iloc[pictures:]
    counts = torch.from_numpy(np.bincount(fit["label"]))
    labels = torch.from_numpy(fit["label"].to_numpy(dtype=np.int64, copy=True))

    def classifier() -> Classifier:
        return Classifier(adapt(backbone, adapters[adapter], seed=0), build_head(backbone.hidden, SHARED.head, seed=0))

    def peer(config: TrainingConfig) -> Seconds:
        torch.manual_seed(0)
        sets = PicturesDataset(fit, TRANSFORM, augment=SHARED.augment), PicturesDataset(select, TRANSFORM)
        fitting, selecting = (
            DataLoader(
                pictures,
                batch_size=config.batch.sizes[0],
                shuffle=pictures is sets[0],
                num_workers=workers,
                multiprocessing_context="forkserver" if workers else None,
                persistent_workers=workers > 0,
                pin_memory=device.type == "cuda",
            )
            for pictures in sets
        )

        def shuffled() -> Iterator[tuple[Tensor, Tensor]]:
            return ((pixels, labels[places]) for pixels, places in fitting)

        return minimal_loop(LogitsOf(classifier()), shuffled, lambda: iter(selecting), counts, config, device)

    def ours(config: TrainingConfig) -> Seconds:
        model = classifier()
        fit_rows = PictureRows.of(Purpose.FIT_WEIGHTS, fit, TRANSFORM, augment=SHARED.augment, workers=workers)
        select_rows = PictureRows.of(Purpose.SELECT_MODEL, select, TRANSFORM, workers=workers)
        moments: list[Seconds] = []
        with tempfile.TemporaryDirectory(dir=place) as folder:
            run_training(
                model,
                fit_rows,
                select_rows,
                config,
                Path(folder),
                identity="0" * 64,
                on_epoch=lambda _: moments.append(clocks()),
            )
        return moments[-1] - moments[0]

    return Contest(pictures, peer, ours)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1300, help="FIT_WEIGHTS rows")
    parser.add_argument("--features", type=int, default=1280, help="width of the features")
    parser.add_argument("--pictures", type=int, default=0, help="fit on this many pictures instead of features")
    parser.add_argument(
        "--adapter", default="lora", choices=[arm.name for arm in default_arms()], help="what of the ViT is trained"
    )
    parser.add_argument("--workers", type=int, default=0, help="processes that read pictures, on both sides")
    parser.add_argument("--average", default="on", choices=("on", "none"), help="running average of the weights")
    parser.add_argument(
        "--epochs", type=int, default=10, help="epochs of each round, the first of which does not count"
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds; the median counts")
    options = parser.parse_args()
    if options.epochs < 2:
        parser.error("the first epoch does not count; give --epochs 2 or more")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = TrainingConfig(epochs=options.epochs, selection=SelectionConfig(patience=None))
    if options.average == "none":
        config = config.model_copy(update={"average": NoAverageConfig()})
    with tempfile.TemporaryDirectory() as place:
        if options.pictures:
            contest = on_pictures(Path(place), options.pictures, options.adapter, options.workers, device)
        else:
            contest = on_features(options.rows, options.features, device)
        by_clock, by_cpu = np.median(ratios(contest, config, options.rounds), axis=0)
    print(
        f"{device.type}: throughput ours / peer, median of {options.rounds}: {by_clock:.3f}; by CPU time {by_cpu:.3f}"
    )


def ratios(contest: Contest, config: TrainingConfig, rounds: int) -> list[Seconds]:
    """Seconds of the peer over ours."""
    rate, found = contest.rows * (config.epochs - 1), []
    for _ in range(rounds):
        peer, ours = contest.peer(config), contest.ours(config)
        found.append(peer / ours)
        print(f"peer {rate / peer[0]:9.0f} rows/s   ours {rate / ours[0]:9.0f} rows/s   ratio {peer[0] / ours[0]:.3f}")
    return found


if __name__ == "__main__":
    main()

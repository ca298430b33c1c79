"""What each of the default arms costs, and what steps of F-SAM and of ExPLoRA's objectives cost beside plain ones.

A vision transformer of DINOv3's architecture and the shipped one's size, with random weights, and its head are trained
end to end on small JPEG pictures. Each arm has a process of its own, since a CPU's peak memory is that of the process.
`pictures_per_second_of_steps` is the training step alone, on pixels in memory; a second of `seconds_an_epoch` also
decodes, augments, validates and saves. Medians of the epochs after the first. The rate of the merged backbone is
compared with that of the one it was made of, in turns; 1 is expected.

`f-sam` is a head on cached features, 128 rows of 1,280 features a step: the time of a step over that of AdamW's.
`explora` is a step on 16 pictures of the same vision transformer: the rate of each objective over that of the default.
Both are medians of ratios, taken in turns.

    python -m benchmarks.adaptation [--pictures 256] [--epochs 3] [--rounds 9] [--device cpu] [--arm f-sam]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.feature_extraction import made_pictures
from stage1_core.adaptation.arm import ArmConfig, SharedRecipe, default_arms
from stage1_core.adaptation.config import ExploraConfig, MaskedAutoencoder, SimMim
from stage1_core.adaptation.distillation import save_student, untrained_student
from stage1_core.adaptation.distillation_config import StudentConfig
from stage1_core.adaptation.learner import MaskedLearner
from stage1_core.adaptation.picture_arm import PictureArm
from stage1_core.data.loading import PicturesDataset, available_cores, sensible_workers
from stage1_core.data.transforms import ProcessorGeometry
from stage1_core.model.adapters.adapted import AdaptedBackbone, merge
from stage1_core.model.backbone import Backbone, load_backbone
from stage1_core.model.backbone_config import TransformersBackboneConfig
from stage1_core.model.device import VARIABLE, best_device
from stage1_core.model.head import HeadConfig, build_head
from stage1_core.splits import Purpose
from stage1_core.training.config import cached_features_training, sharpness_training
from stage1_core.training.execution import make_accelerator
from stage1_core.training.loop import EpochResult, train
from stage1_core.training.rows import FeatureRows
from stage1_core.training.state import load_weights

SIZE = StudentConfig()
SHARED = SharedRecipe()
FEATURES = 1280
TRANSFORM = ProcessorGeometry(height_px=SIZE.input_px, width_px=SIZE.input_px)


def main() -> None:
    """Print one JSON object."""
    arms: dict[str, Callable[[argparse.Namespace], dict[str, float]]] = {
        **{arm.name: partial(measured, arm) for arm in default_arms()},
        "f-sam": sharpness,
        "explora": objectives,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=256, help="pictures to fit on (default 256)")
    parser.add_argument("--epochs", type=int, default=3, help="epochs, the first of which does not count (default 3)")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of what is compared in turns (default 9)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="where (default cpu)")
    parser.add_argument("--arm", choices=arms, help="only this one, in this process")
    options = parser.parse_args()
    if options.epochs < 2:
        parser.error("the first epoch does not count; give --epochs 2 or more")
    os.environ[VARIABLE] = options.device
    if options.arm:
        print(json.dumps(arms[options.arm](options)))
        return
    command = [sys.executable, "-m", "benchmarks.adaptation", *sys.argv[1:], "--arm"]
    outputs = {name: subprocess.run([*command, name], check=True, stdout=subprocess.PIPE).stdout for name in arms}
    report = {
        "device": options.device,
        "cores": available_cores(),
        "pictures": options.pictures,
        "arms": {name: json.loads(output) for name, output in outputs.items()},
    }
    print(json.dumps(report, indent=2))


def measured(arm: ArmConfig, options: argparse.Namespace) -> dict[str, float]:
    """The numbers of one arm."""
    pictures = options.pictures
    fitting = arm.training.model_copy(
        update={"epochs": options.epochs, "selection": arm.training.selection.model_copy(update={"patience": None})}
    )
    with tempfile.TemporaryDirectory() as place:
        save_student(untrained_student(SIZE, seed=0), SIZE, Path(place) / "vit")
        rows = labelled_pictures(Path(place), pictures + pictures // 4)
        fit_rows, select_rows = rows.iloc[:pictures], rows.iloc[pictures:]
        here = PictureArm(
            backbone=TransformersBackboneConfig(model=str(Path(place) / "vit")),
            arm=arm.model_copy(update={"training": fitting}),
            shared=SHARED,
            transform=TRANSFORM,
            fit_rows=fit_rows,
            select_rows=select_rows,
            folder=Path(place) / "checkpoints",
            identity="0" * 64,
            threads=torch.get_num_threads(),
            workers=sensible_workers(pictures),
        )
        whole: list[EpochResult] = []
        trained = here.telling(whole.append)(0)
        fit, select = pixel_rows(Purpose.FIT_WEIGHTS, fit_rows), pixel_rows(Purpose.SELECT_MODEL, select_rows)
        steps = [epoch.images_per_second for epoch in train(here.untrained(0), fit, select, fitting)]
        model, device = here.untrained(0), best_device()
        load_weights(model, trained.weights)
        adapted = model.backbone
        assert isinstance(adapted, AdaptedBackbone)
        frozen = load_backbone(here.backbone, device=device)
        return {
            "trainable_parameters": trained.cost.trainable_parameters,
            "trainable_in_backbone": adapted.trainable_parameter_count,
            "pictures_per_second_of_steps": statistics.median(steps[1:]),
            "seconds_an_epoch": statistics.median(epoch.seconds for epoch in whole[1:]),
            "peak_memory_mib": max(epoch.peak_memory_bytes for epoch in whole[1:]) / 2**20,
            "merged_rate_of_frozen": rate_of_first(merge(adapted).to(device), frozen, options.rounds),
        }


def sharpness(options: argparse.Namespace) -> dict[str, float]:
    """F-SAM's step over AdamW's, from epochs in turns."""
    rng = np.random.default_rng(0)

    def rows(purpose: Purpose, count: int) -> FeatureRows:
        ids = np.array([f"{purpose}/{number}" for number in range(count)])
        return FeatureRows.of(
            purpose, ids, rng.standard_normal((count, FEATURES), dtype=np.float32), np.arange(count) % 2
        )

    fit, select = rows(Purpose.FIT_WEIGHTS, 20 * 128), rows(Purpose.SELECT_MODEL, 128)
    plain, friendly = (
        train(
            build_head(FEATURES, HeadConfig(), seed=0),
            fit,
            select,
            config.model_copy(update={"epochs": options.rounds + 1}),
        )
        for config in (cached_features_training(), sharpness_training())
    )
    ratios = [one.images_per_second / other.images_per_second for one, other in zip(plain, friendly, strict=True)]
    return {"step_of_adamw": statistics.median(ratios[1:])}


def objectives(options: argparse.Namespace) -> dict[str, float]:
    """Rate of each of ExPLoRA's objectives over that of the default one."""
    kinds = (ExploraConfig().objective, SimMim(), MaskedAutoencoder())
    with tempfile.TemporaryDirectory() as place:
        save_student(untrained_student(SIZE, seed=0), SIZE, Path(place))
        backbone = load_backbone(TransformersBackboneConfig(model=place), device=best_device())
    learners = [MaskedLearner(backbone, ExploraConfig(objective=kind), make_accelerator("auto")) for kind in kinds]
    pixels = torch.rand(16, 3, *backbone.input_size)

    def seconds(learner: MaskedLearner) -> float:
        began = time.perf_counter()
        learner.step(pixels, torch.Generator().manual_seed(0)).item()  # waits for the GPU
        return time.perf_counter() - began

    rounds = [[seconds(learner) for learner in learners] for _ in range(options.rounds + 1)]
    return {
        f"{kind.kind}_of_default": statistics.median(taken[0] / taken[place] for taken in rounds[1:])
        for place, kind in enumerate(kinds)
    }


def labelled_pictures(folder: Path, count: int) -> pd.DataFrame:
    """Pictures of either class in turns."""
    rows = made_pictures(folder, count)
    return rows.assign(label=np.arange(count) % 2)


def pixel_rows(purpose: Purpose, rows: pd.DataFrame) -> FeatureRows:
    """The pictures' pixels in memory, in the place of features."""
    pixels = torch.stack(
        [pixels for pixels, _ in (PicturesDataset(rows, TRANSFORM)[place] for place in range(len(rows)))]
    )
    return FeatureRows(purpose, rows["id"].to_numpy(dtype=np.str_), rows["label"].to_numpy(dtype=np.int64), pixels)


def rate_of_first(first: Backbone, second: Backbone, rounds: int) -> float:
    """Pictures a second of ``first`` over those of ``second``."""
    device = first.mean.device
    pixels = torch.rand(32, 3, *first.input_size, device=device)

    def seconds(backbone: Backbone) -> float:
        began = time.perf_counter()
        with torch.inference_mode():
            backbone(pixels).cpu()  # waits for the GPU
        return time.perf_counter() - began

    seconds(first), seconds(second)
    return statistics.median(seconds(second) / seconds(first) for _ in range(rounds))


if __name__ == "__main__":
    main()

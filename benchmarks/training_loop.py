"""Throughput of the training loop against a minimal PyTorch loop on the same cached features, in one run.

Usage: PYTHONPATH=. python benchmarks/training_loop.py [--rows 1300] [--features 1280] [--epochs 10] [--rounds 5]

The peer is written by hand: AdamW (fused), weighted and smoothed cross-entropy, clipping, weight averaging, cosine, an
accumulation of 2 and validation after each epoch; no metrics, no state, no determinism. Rounds alternate and the
medians of their ratios are printed, by the clock and by CPU time, which other programs on the machine disturb less. A
ratio of 1 means as fast as the peer; the goal is at least 0.9.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from stage1_core.model.head import HeadConfig, build_head
from stage1_core.splits import Purpose
from stage1_core.training.config import TrainingConfig
from stage1_core.training.loop import train
from stage1_core.training.rows import FeatureRows
from stage1_core.training.selection import SelectionConfig

Seconds = np.ndarray[tuple[int], np.dtype[np.float64]]


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


def minimal_loop(fit: FeatureRows, select: FeatureRows, config: TrainingConfig, device: torch.device) -> Seconds:
    """Seconds of a loop that does the same mathematics and nothing else."""
    torch.manual_seed(0)
    head = torch.nn.Sequential(
        torch.nn.Linear(fit.features.shape[1], 768), torch.nn.ReLU(), torch.nn.Dropout(0.3), torch.nn.Linear(768, 2)
    ).to(device)
    inputs, labels = fit.features.to(device), torch.from_numpy(fit.labels).to(device)
    held_out = select.features.to(device)
    parameters = list(head.parameters())
    average = [parameter.detach().clone() for parameter in parameters]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.01, fused=True)
    weight = len(labels) / (2 * torch.bincount(labels).float())
    size, steps = config.batch.sizes[0], 0
    total = config.epochs * -(-len(labels) // (2 * size))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
    precise = device.type == "cpu"
    began = clocks()
    for _ in range(config.epochs):
        head.train()
        order = torch.randperm(len(labels)).to(device)
        for start in range(0, len(order), 2 * size):
            for index in order[start : start + 2 * size].split(size):
                with torch.autocast(device.type, dtype=torch.bfloat16, enabled=not precise):
                    logits = head(inputs[index])
                loss = torch.nn.functional.cross_entropy(logits.float(), labels[index], weight, label_smoothing=0.1)
                (loss / 2).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            decay = min(0.9999, (1 + steps) / (10 + steps))
            with torch.no_grad():
                torch._foreach_lerp_(average, parameters, 1 - decay)
            steps += 1
        head.eval()
        with torch.no_grad():
            torch.cat([head(part) for part in held_out.split(size)]).cpu()
    return clocks() - began


def our_loop(fit: FeatureRows, select: FeatureRows, config: TrainingConfig) -> Seconds:
    """Seconds of ours, everything included: metrics, selection, state of the best epoch."""
    head = build_head(fit.features.shape[1], HeadConfig(), seed=0)
    began = clocks()
    for _ in train(head, fit, select, config):
        pass
    return clocks() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1300, help="FIT_WEIGHTS rows")
    parser.add_argument("--features", type=int, default=1280, help="width of the features")
    parser.add_argument("--epochs", type=int, default=10, help="epochs of each round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; the median counts")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    fit = make_rows(Purpose.FIT_WEIGHTS, options.rows, options.features, 0)
    select = make_rows(Purpose.SELECT_MODEL, max(options.rows // 4, 64), options.features, 1)
    config = TrainingConfig(epochs=options.epochs, selection=SelectionConfig(patience=None))
    warm = config.model_copy(update={"epochs": 1})
    minimal_loop(fit, select, warm, device)
    our_loop(fit, select, warm)
    ratios = []
    for _ in range(options.rounds):
        peer, ours = minimal_loop(fit, select, config, device), our_loop(fit, select, config)
        ratios.append(peer / ours)
        rate = options.rows * options.epochs
        print(f"peer {rate / peer[0]:9.0f} rows/s   ours {rate / ours[0]:9.0f} rows/s   ratio {peer[0] / ours[0]:.3f}")
    by_clock, by_cpu = np.median(ratios, axis=0)
    print(
        f"{device.type}: throughput ours / peer, median of {options.rounds}: {by_clock:.3f}; by CPU time {by_cpu:.3f}"
    )


if __name__ == "__main__":
    main()

"""Extended pretraining without labels: a generator of epochs. It knows no files but the pictures."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import pandas as pd
import torch

from stage1_core.adaptation.config import ExploraConfig
from stage1_core.adaptation.learner import MaskedLearner
from stage1_core.adaptation.outcomes import ProbeResult
from stage1_core.adaptation.trainable import adapted, changed_wrongly, merged
from stage1_core.data.loading import EpochSampler, PicturesDataset, batches, generator_of, picture_loader
from stage1_core.data.transforms import EvalTransform
from stage1_core.errors import DataError, ModelError, Stage1Error
from stage1_core.model.backbone import Backbone
from stage1_core.training.execution import make_accelerator
from stage1_core.training.memory import forget_peak, peak_bytes
from stage1_core.training.schedule import TrainingLength
from stage1_core.training.seeding import RandomStreams, repeatable
from stage1_core.training.selection import Best, Progress, SelectionConfig, SelectionMetric
from stage1_core.training.state import TrainingState, load_weights
from stage1_core.training.state_tree import copy_tree

Probe = Callable[[Backbone], ProbeResult]
"""Judges an ordinary backbone; `LinearProbe` is one."""
OnUpdate = Callable[[int, int], None]
"""Called with (optimizer steps made in this epoch, optimizer steps of an epoch)."""

_MASKS = 1
"""Tells the draws for masks, of (seed, epoch, step), from those for augmentation, of (seed, epoch, picture)."""


@dataclass(frozen=True, slots=True, eq=False)
class PretrainingEpoch:
    """One epoch, or the backbone as it was before the first."""

    epoch: int
    """0 is the original backbone."""
    loss: float | None
    """Mean over the pictures, each before the step that it was part of; None for epoch 0."""
    probe: ProbeResult
    """Of the merged backbone after the epoch."""
    changed_wrongly: frozenset[str]
    """Names of tensors that may not change and are not what they were before the first epoch; none, or it is broken."""
    learning_rate: float
    """Of the low-rank changes, as the next step would use it."""
    seconds: float
    """The epoch with its probe."""
    peak_memory_bytes: int
    """Of the device on a GPU, of the process on a CPU."""
    images_per_second: float | None
    """While pretraining, reading included, the probe not; None for epoch 0."""
    kept_epoch: int
    """The epoch with the lowest AUGRC of the probe so far; 0 where none is better than the original backbone."""
    is_last: bool
    """Whether pretraining ends here, by length or by patience."""
    capture: Callable[[], TrainingState]

    def state(self) -> TrainingState:
        """Copies of all that a continuation needs. Only until the next epoch is asked for; `Stage1Error` after it."""
        return self.capture()


def pretrain(
    backbone: Backbone,
    pictures: pd.DataFrame,
    transform: EvalTransform,
    probe: Probe,
    config: ExploraConfig,
    *,
    state: TrainingState | None = None,
    workers: int | None = None,
    on_update: OnUpdate | None = None,
) -> Iterator[PretrainingEpoch]:
    """Adapt a copy of ``backbone`` to ``pictures`` (columns path and sha256), one epoch for each result.

    Epoch 0 comes first: the original, as the probe judges it. With ``state``, pretraining continues after its epoch,
    bit for bit on a CPU as if it had never stopped; one that had ended yields nothing. ``backbone`` itself and the
    caller's random generators are left as they are; `kept_backbone` makes a backbone of the last state. ``workers``
    processes read the pictures, None takes a sensible number; no result depends on it.

    Raises `ModelError` for backbones that are no DINOv3 or DINOv2 ViT, pictures that do not consist of whole patches,
    and a loss that is not finite; `DataError` without pictures or where one cannot be read; `CheckpointError` for a
    foreign state.
    """
    if pictures.empty:
        raise DataError("there are no pictures to pretrain on; give at least one")
    run = _Run(backbone, pictures, transform, probe, config, workers, on_update)
    if state is not None:
        run.restore(state)
    else:
        with run.computing():
            original = run.original()
        yield original
    while not run.is_finished:
        with run.computing():
            result = run.next_epoch()
        yield result


def kept_epoch(state: TrainingState) -> Best:
    """The epoch that a pretraining keeps, by the AUGRC of its probe; epoch 0 is the original backbone."""
    return state.kept[SelectionMetric.AUGRC]


def kept_backbone(backbone: Backbone, state: TrainingState, config: ExploraConfig) -> Backbone:
    """An ordinary backbone of the epoch that ``state`` keeps; ``backbone``, which it began with, where that is epoch 0.

    `save_backbone` writes it as any other. Raises `CheckpointError` where the state is of another backbone or config.
    """
    best = kept_epoch(state)
    if best.epoch == 0:
        return backbone
    with RandomStreams(config.seed).installed():  # initial weights are drawn, and then overwritten
        changed, _ = adapted(backbone, config.trainable)
    load_weights(changed.network, best.weights)
    return merged(backbone, changed)


class _Run:
    """One call of `pretrain`: where it stands, and how it gets one epoch further."""

    def __init__(
        self,
        backbone: Backbone,
        pictures: pd.DataFrame,
        transform: EvalTransform,
        probe: Probe,
        config: ExploraConfig,
        workers: int | None,
        on_update: OnUpdate | None,
    ) -> None:
        self._backbone, self._config, self._probe, self._on_update = backbone, config, probe, on_update
        self._accelerator = make_accelerator("auto")
        with RandomStreams(config.seed).installed():
            self._learner = MaskedLearner(backbone, config, self._accelerator)
        dataset = PicturesDataset(pictures, transform, augment=config.augment, seed=config.seed)
        self._loader = picture_loader(
            dataset, batch_size=config.batch_size, shuffle=True, seed=config.seed, workers=workers
        )
        self._pictures, self._steps = len(dataset), len(self._loader)
        self._factor = config.schedule.factor(TrainingLength(config.epochs, self._steps, self._steps))
        self._selection = SelectionConfig(metric=SelectionMetric.AUGRC, patience=config.patience)
        self._epoch, self._updates = 0, 0
        self._progress = Progress({})

    @property
    def is_finished(self) -> bool:
        """Whether no epoch is left."""
        return self._epoch >= self._config.epochs or self._progress.exhausted(self._selection)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Deterministic, and apart from the caller's random generators, from which libraries might draw."""
        with repeatable(), RandomStreams(self._config.seed).installed():
            yield

    def original(self) -> PretrainingEpoch:
        """Epoch 0: nothing has changed."""
        forget_peak(self._accelerator.device)
        return self._judged(None, began=time.perf_counter(), images_per_second=None)

    def next_epoch(self) -> PretrainingEpoch:
        """One pass over the pictures, then the probe."""
        self._epoch += 1
        forget_peak(self._accelerator.device)
        began = time.perf_counter()
        loss = self._pass()
        return self._judged(loss, began=began, images_per_second=self._pictures / (time.perf_counter() - began))

    def restore(self, state: TrainingState) -> None:
        """Stand where ``state`` was captured."""
        learner, scaler = self._learner, self._accelerator.scaler
        load_weights(learner.adapted.network, state.weights)
        learner.objective.load_state_dict(state.objective)
        learner.update.load_state_dict(copy_tree(state.optimizer))
        if scaler is not None and state.scaler:
            scaler.load_state_dict(state.scaler)
        self._epoch, self._updates, self._progress = state.epoch, state.updates, state.progress

    def _pass(self) -> float:
        assert isinstance(self._loader.sampler, EpochSampler), "picture_loader makes no other"
        self._loader.sampler.set_epoch(self._epoch)
        total = torch.zeros((), device=self._accelerator.device)
        for made, (pixels, _) in enumerate(batches(self._loader)):
            self._learner.update.scale_learning_rates(self._factor(self._updates))
            masks = generator_of(self._config.seed, self._epoch, made, _MASKS)
            total += self._learner.step(pixels, masks) * len(pixels)
            self._updates += 1
            if self._on_update is not None:
                self._on_update(made + 1, self._steps)
        loss = float(total) / self._pictures
        if not math.isfinite(loss):
            raise ModelError(f"the loss of epoch {self._epoch} is {loss}; use lower learning rates")
        return loss

    def _judged(self, loss: float | None, *, began: float, images_per_second: float | None) -> PretrainingEpoch:
        learner = self._learner
        plain = merged(learner.original, learner.adapted)
        judged = self._probe(plain)
        weights = self._weights if self._epoch else dict
        values = {SelectionMetric.AUGRC: judged.augrc}
        self._progress = self._progress.after(self._epoch, values, self._selection, weights)
        learner.update.scale_learning_rates(self._factor(self._updates))
        return PretrainingEpoch(
            epoch=self._epoch,
            loss=loss,
            probe=judged,
            changed_wrongly=changed_wrongly(self._backbone, learner.adapted, plain, self._config.trainable),
            learning_rate=learner.update.learning_rate(),
            seconds=time.perf_counter() - began,
            peak_memory_bytes=peak_bytes(self._accelerator.device),
            images_per_second=images_per_second,
            kept_epoch=self._progress.best[SelectionMetric.AUGRC].epoch,
            is_last=self.is_finished,
            capture=partial(self._capture, self._epoch),
        )

    def _weights(self) -> dict[str, torch.Tensor]:
        parameters = self._learner.adapted.network.named_parameters()
        return {name: value.detach().to("cpu", copy=True) for name, value in parameters if value.requires_grad}

    def _capture(self, epoch: int) -> TrainingState:
        if epoch != self._epoch:
            raise Stage1Error(f"the state after epoch {epoch} is gone: ask for it before the next epoch")
        learner, scaler = self._learner, self._accelerator.scaler
        return TrainingState(
            epoch=self._epoch,
            updates=self._updates,
            batch_size=self._config.batch_size,
            weights=self._weights(),
            averages={},
            average_updates=0,
            gradients={},
            optimizer=copy_tree(learner.update.state_dict()),
            scaler={} if scaler is None else dict(scaler.state_dict()),
            objective=copy_tree(dict(learner.objective.state_dict())),
            random={},  # every draw depends on seed, epoch, and step or picture alone
            progress=self._progress,
            best_accuracy=None,
        )

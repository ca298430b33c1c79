"""The training loop: a generator of epochs. It knows no files; what to do with an epoch is the caller's business."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
from torch import nn

from stage1_core.errors import DataError, SplitUseError, Stage1Error
from stage1_core.predictions import Integer, Scores
from stage1_core.splits import Purpose
from stage1_core.training.batching import largest_that_fits, memory_explained
from stage1_core.training.config import TrainingConfig
from stage1_core.training.cross_entropy import count_classes
from stage1_core.training.epoch_plan import EpochPlan
from stage1_core.training.evaluation import EpochMetrics, epoch_metrics
from stage1_core.training.execution import compiled_forward, make_accelerator, sum_over_processes
from stage1_core.training.learner import Batch, Learner
from stage1_core.training.memory import forget_peak, peak_bytes
from stage1_core.training.rows import Rows
from stage1_core.training.seeding import RandomStreams, epoch_order, repeatable, restore_random_state
from stage1_core.training.selection import Progress, SelectionMetric
from stage1_core.training.state import TrainingState, load_weights
from stage1_core.training.state_tree import copy_tree
from stage1_core.training.validation import validate

OnUpdate = Callable[[int, int], None]
"""Called with (optimizer steps made in this epoch, optimizer steps of an epoch)."""


@dataclass(frozen=True, slots=True, eq=False)
class EpochResult:
    """One epoch. Validation is on the SELECT_MODEL rows, with the averaged weights."""

    epoch: int
    """From 1."""
    train_loss: float
    train_accuracy: float
    """Fraction of the FIT_WEIGHTS rows seen, in training mode: with dropout."""
    scores: Scores
    """Of the SELECT_MODEL rows."""
    labels: Integer
    """Of the SELECT_MODEL rows."""
    val_loss: float
    metrics: EpochMetrics
    learning_rate: float
    """The head's, as the next step would use it."""
    seconds: float
    """The epoch with its validation."""
    images_per_second: float
    """While fitting, without validation."""
    peak_memory_bytes: int
    """The highest in the epoch, of the GPU, or of this process where there is none."""
    best_accuracy_before: float | None
    """Highest accuracy of the epochs before this one; None for the first."""
    progress: Progress
    """Best epochs so far, this one included."""
    is_last: bool
    """Whether training ends here, by length or by patience."""
    capture: Callable[[], TrainingState]

    def state(self) -> TrainingState:
        """Copies of all that a continuation needs. Only until the next epoch is asked for; `Stage1Error` after it."""
        return self.capture()


def train(
    model: nn.Module,
    fit_rows: Rows,
    select_rows: Rows,
    config: TrainingConfig,
    *,
    state: TrainingState | None = None,
    on_update: OnUpdate | None = None,
) -> Iterator[EpochResult]:
    """Fit the trainable parameters of ``model`` in place, one epoch for each result.

    ``model`` maps a batch of inputs to `HeadOutput`: a head on cached features, or a classifier on pictures. With
    ``state``, training continues after its epoch, bit for bit on a CPU as if it had never stopped; a training that had
    ended yields nothing. The global random generators of the caller are left as they are.

    Raises `SplitUseError` for rows of another purpose, `DataError` for too few rows, `CheckpointError` for a foreign
    state, `ModelError` where no batch size fits in memory, or training needs more than was tried.
    """
    _check(fit_rows, Purpose.FIT_WEIGHTS)
    _check(select_rows, Purpose.SELECT_MODEL)
    run = _Run(model, fit_rows, select_rows, config, on_update)
    with run.computing():
        run.prepare(state)
    while not run.is_finished:
        with run.computing():
            result = run.next_epoch()
        yield result


class _Run:
    """One call of `train`: where it stands, and how it gets one epoch further."""

    def __init__(
        self, model: nn.Module, fit_rows: Rows, select_rows: Rows, config: TrainingConfig, on_update: OnUpdate | None
    ) -> None:
        accelerator = make_accelerator(config.precision)
        self._config = config
        self._on_update = on_update
        self._accelerator = accelerator
        self._fit_rows = fit_rows.on(accelerator.device)
        self._select_rows = select_rows.on(accelerator.device)
        self._learner = Learner(model, config.objective.build(count_classes(fit_rows.labels)), config, accelerator)
        self._random = RandomStreams(config.seed, process=accelerator.process_index)
        self._epoch = 0
        self._updates = 0
        self._batch_size = 0
        self._progress = Progress({})
        self._best_accuracy: float | None = None

    @property
    def is_finished(self) -> bool:
        """Whether no epoch is left."""
        return self._epoch >= self._config.epochs or self._progress.exhausted(self._config.selection)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Deterministic, and with this training's random generators, inside the block."""
        with repeatable(), self._random.installed():
            yield

    def prepare(self, state: TrainingState | None) -> None:
        """Compile if asked to, take over ``state`` or probe the batch size, and lay out the schedule."""
        # what compiling and probing draw must not move the generators: a continued training does not probe
        with RandomStreams(self._config.seed).installed():
            if self._config.compile_model:
                inputs, _ = self._first_rows(min(2, len(self._fit_rows.labels)))
                self._learner.forward = compiled_forward(self._learner.model, inputs)
            if state is None:
                self._batch_size = largest_that_fits(self._config.batch.sizes, self._probe)
        if state is not None:
            self._restore(state)
        length = self._plan(1).length(self._config.epochs)
        if length.updates_per_epoch == 0:
            raise DataError(
                f"{len(self._fit_rows.labels)} FIT_WEIGHTS rows do not make one optimizer step with micro-batches of "
                f"{self._batch_size}; use smaller batch.sizes, or batch.drop_last=false"
            )
        self._factor = self._config.schedule.factor(length)

    def next_epoch(self) -> EpochResult:
        """Fit, validate, select."""
        self._epoch += 1
        forget_peak(self._accelerator.device)
        began = time.perf_counter()
        with memory_explained(self._batch_size):
            train_loss, train_accuracy, rows = self._fit()
        fitted = time.perf_counter()
        batch = self._config.batch
        with self._learner.average.applied():
            scores, val_loss = validate(
                self._learner, self._select_rows, self._batch_size, batch.loss_average, self._epoch
            )
        self._learner.end_epoch()
        labels = self._select_rows.labels
        metrics = epoch_metrics(scores, labels, self._config.epoch_log.legacy_exit_threshold_for_logging)
        best_before = self._best_accuracy
        self._best_accuracy = metrics.accuracy if best_before is None else max(metrics.accuracy, best_before)
        values = {
            SelectionMetric.ACCURACY: metrics.accuracy,
            SelectionMetric.AUGRC: metrics.augrc,
            SelectionMetric.VAL_LOSS: val_loss,
        }
        self._progress = self._progress.after(self._epoch, values, self._config.selection, self._learner.average.values)
        self._learner.update.scale_learning_rates(self._factor(self._updates))
        return EpochResult(
            epoch=self._epoch,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            scores=scores,
            labels=labels,
            val_loss=val_loss,
            metrics=metrics,
            learning_rate=self._learner.update.learning_rate(),
            seconds=time.perf_counter() - began,
            images_per_second=rows / (fitted - began),
            peak_memory_bytes=peak_bytes(self._accelerator.device),
            best_accuracy_before=best_before,
            progress=self._progress,
            is_last=self.is_finished,
            capture=partial(self._capture, self._epoch),
        )

    def _fit(self) -> tuple[float, float, int]:
        """One pass over the FIT_WEIGHTS rows: mean loss, accuracy, rows seen."""
        learner, plan = self._learner, self._plan(self._epoch)
        learner.begin_epoch()
        batches = self._fit_rows.batches(plan.own, epoch=self._epoch)
        observed = []
        for made, step in enumerate(plan.steps):
            micro_batches = [learner.place(*next(batches)) for _ in step.micro_batches]
            weights = plan.weights(step)
            if step.is_complete:
                learner.update.scale_learning_rates(self._factor(self._updates))
                observed.append(learner.step(micro_batches, weights))
                self._updates += 1
            else:
                observed.append(learner.pass_over(micro_batches, weights))
            if self._on_update is not None:
                self._on_update(made + 1, len(plan.steps))
        loss, right = sum_over_processes(self._accelerator, plan.totals(observed)).tolist()
        return loss, right / plan.rows, plan.rows

    def _plan(self, epoch: int) -> EpochPlan:
        order = epoch_order(self._config.seed, epoch, len(self._fit_rows.labels))
        process, processes = self._accelerator.process_index, self._accelerator.num_processes
        return EpochPlan.of(order, self._batch_size, self._config.batch, process=process, processes=processes)

    def _first_rows(self, count: int) -> Batch:
        return self._learner.place(*next(self._fit_rows.batches([np.arange(count)], epoch=1)))

    def _probe(self, size: int) -> None:
        """Forward and backward at ``size`` rows over all processes."""
        share = -(-size // self._accelerator.num_processes)
        self._learner.rehearse(self._first_rows(min(share, len(self._fit_rows.labels))))

    def _capture(self, epoch: int) -> TrainingState:
        if epoch != self._epoch:
            raise Stage1Error(f"the state after epoch {epoch} is gone: ask for it before the next epoch")
        learner, scaler = self._learner, self._accelerator.scaler
        return TrainingState(
            epoch=self._epoch,
            updates=self._updates,
            batch_size=self._batch_size,
            weights={name: value.detach().to("cpu", copy=True) for name, value in learner.parameters.items()},
            averages=learner.average.values(),
            average_updates=learner.average.updates,
            gradients=learner.gradients(),
            optimizer=copy_tree(learner.update.state_dict()),
            scaler={} if scaler is None else dict(scaler.state_dict()),
            objective=copy_tree(dict(learner.objective.state_dict())),
            random=copy_tree(self._random.state),
            progress=self._progress,
            best_accuracy=self._best_accuracy,
        )

    def _restore(self, state: TrainingState) -> None:
        learner, scaler = self._learner, self._accelerator.scaler
        load_weights(learner.model, state.weights)
        learner.average.load(state.averages, state.average_updates)
        learner.load_gradients(state.gradients)
        learner.update.load_state_dict(copy_tree(state.optimizer))
        if scaler is not None and state.scaler:
            scaler.load_state_dict(state.scaler)
        learner.objective.load_state_dict(state.objective)
        restore_random_state(copy_tree(state.random))  # installed at this moment, and captured when this block ends
        self._epoch, self._updates, self._batch_size = state.epoch, state.updates, state.batch_size
        self._progress, self._best_accuracy = state.progress, state.best_accuracy


def _check(rows: Rows, purpose: Purpose) -> None:
    if rows.purpose is not purpose:
        raise SplitUseError(f"rows read for {rows.purpose} cannot be used here; this place needs {purpose} rows")
    if len(rows.labels) == 0:
        raise DataError(f"there are no {purpose} rows; training needs both FIT_WEIGHTS and SELECT_MODEL rows")

"""Everything a person chooses about training, and the historical trainer's choices."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from stage1_core.config import FrozenModel
from stage1_core.training.accumulation import CarriedAccumulation, WholeAccumulation
from stage1_core.training.averaging import AverageConfig, ConstantAverageConfig, WarmupAverageConfig
from stage1_core.training.batching import BatchConfig
from stage1_core.training.epoch_log import EpochLogConfig
from stage1_core.training.execution import Precision
from stage1_core.training.objective import (
    ConformalRiskConfig,
    CorrectnessGateConfig,
    CrossEntropyConfig,
    ObjectiveConfig,
    SelectiveConfig,
)
from stage1_core.training.optimizer import AdamWConfig, FriendlySamConfig, OptimizerConfig
from stage1_core.training.schedule import HistoricalScheduleConfig, ScheduleConfig, WarmupCosineConfig
from stage1_core.training.selection import SelectionConfig, SelectionMetric


class TrainingConfig(FrozenModel):
    """How weights are fitted. The same for cached features, frozen backbones and adapted ones."""

    objective: ObjectiveConfig = CrossEntropyConfig()
    """What is minimised."""
    optimizer: OptimizerConfig = AdamWConfig()
    """How the weights follow the gradient."""
    schedule: ScheduleConfig = WarmupCosineConfig()
    """The learning rate over time."""
    average: AverageConfig = WarmupAverageConfig()
    """The running average of the weights, which is what is validated and released."""
    selection: SelectionConfig = SelectionConfig()
    """Which epoch is kept, and when to stop."""
    batch: BatchConfig = BatchConfig()
    """Sizes of micro-batches and steps."""
    epochs: Annotated[int, Field(ge=1, le=100000)] = 30
    """Passes over the FIT_WEIGHTS rows, at most."""
    max_grad_norm: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """The gradient's global norm is clipped to this."""
    precision: Precision = "auto"
    """Of matrix products: "auto" is bf16 (fp16 on older ones) on a GPU and fp32 on a CPU."""
    compile_model: bool = False
    """Whether torch.compile is tried; it needs a C++ compiler and pays off in long trainings on a GPU."""
    epoch_log: EpochLogConfig = EpochLogConfig()
    """What metrics.csv shows; it decides nothing."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of every random draw: initial weights, order of the rows, dropout, augmentation."""

    @model_validator(mode="after")
    def _a_second_pass_has_its_rows(self) -> Self:
        if isinstance(self.optimizer, FriendlySamConfig) and isinstance(self.batch.accumulation, CarriedAccumulation):
            raise ValueError(
                "optimizer friendly_sam passes twice over the rows of a step, and accumulation carried has steps with "
                "rows of the epoch before, which are gone; use batch.accumulation.kind = whole"
            )
        return self


def cached_features_training() -> TrainingConfig:
    """For a head on the cached features of a few hundred to some thousand pictures; the most accurate epoch is kept.

    With so few steps the default learning rate leaves the head unfinished, and accuracy on a few hundred SELECT_MODEL
    rows is too coarse to stop on. AUGRC's best epoch is kept beside it.
    Run: as any other training.
    Expect: on EfficientNet-Lite0 features of rendered scenes, a mean accuracy on 1,027 other rows of .918, .960, .968
    after 294, 1,320, 2,744 rows (three seeds); with the default rate .888, .948, .957, logistic regression .910, .958,
    .963.
    """
    return TrainingConfig(
        optimizer=AdamWConfig(lr_head=1e-3),
        selection=SelectionConfig(metric=SelectionMetric.ACCURACY, keep_also=(SelectionMetric.AUGRC,), patience=None),
        epochs=30,
    )


def selective_training() -> TrainingConfig:
    """The same training, of which the epoch that ranks its failures best is kept; accuracy's best beside it.

    Run: as any other training.
    Expect: in the experiment of `cached_features_training` a mean AUGRC of .0119, .0032, .0021 instead of .0121, .0033,
    .0022, and an accuracy of .919, .960, .967: the two epochs are much alike.
    """
    selection = SelectionConfig(metric=SelectionMetric.AUGRC, keep_also=(SelectionMetric.ACCURACY,), patience=None)
    return cached_features_training().model_copy(update={"selection": selection})


def gate_training() -> TrainingConfig:
    """The same for a gated head, whose gate learns from cross-fitted answers how likely the class decision is right.

    Run: on cached features, with rows that went through `with_held_out_correctness`; needs a head with gated = true.
    Expect: in the same experiment with 1,320 rows a mean accuracy of .961 and AUGRC of .0033, as without a gate; but
    AUGRC .0104 and AUROC .74 when the gate ranks. It has learned something, and less than the class logits know.
    """
    return selective_training().model_copy(update={"objective": CorrectnessGateConfig()})


def selectivenet_training() -> TrainingConfig:
    """The same for a gated head, whose gate is fitted together with the classes under a ceiling on the soft FNR.

    A soft FNR needs some fifty positives in a batch, so batches are large; each is a step of its own, because summing
    gradients does not make its ratio finer, and the fewer steps are made up for by more epochs.
    Run: as any other training; needs a head with gated = true.
    Expect: in the same experiment with 1,320 rows a mean accuracy of .961; the gate (g >= .5) lets .69 through with an
    error of .022; AUGRC .0034, and .0101 when the gate ranks.
    """
    return selective_training().model_copy(
        update={
            "objective": SelectiveConfig(),
            "batch": BatchConfig(sizes=(256, 128, 64), accumulation=WholeAccumulation(micro_batches=1)),
            "epochs": 60,
        }
    )


def conformal_risk_training() -> TrainingConfig:
    """As `selectivenet_training`, for any head: trained through the exit threshold that its own batches would get.

    The epoch with the lowest loss on SELECT_MODEL rows is kept, AUGRC's and accuracy's best beside it: AUGRC would go
    back to an epoch of the warm-up where a few confident mistakes cannot be helped.
    Paper: Yeh et al., Conformal Risk Training, NeurIPS 2025, arXiv 2510.08748.
    Run: as any other training, with at least 49 positives; `benchmarks/conformal_training.py` compares.
    Expect: no gain for a head that fits its features. Where cross-entropy is right, certified coverage is .974 instead
    of .987 over ten draws, at an FPR on exited of .6 % instead of 1.3 %. A linear head that far outliers pull aside
    exits .873 instead of .739, paired difference +.133 (-.036 to +.303), and .858 where AUGRC picks cross-entropy's
    epoch. On features of rendered scenes, ten divisions, .638 against .728 for `selective_training`.
    """
    beside = (SelectionMetric.AUGRC, SelectionMetric.ACCURACY)
    return selectivenet_training().model_copy(
        update={
            "objective": ConformalRiskConfig(),
            "selection": SelectionConfig(metric=SelectionMetric.VAL_LOSS, keep_also=beside, patience=None),
        }
    )


def sharpness_training() -> TrainingConfig:
    """The same as `cached_features_training`, with F-SAM around its AdamW, in search of flat minima.

    Paper: Li et al., Friendly Sharpness-Aware Minimization, CVPR 2024, arXiv 2403.12350.
    Run: as any other training; a step takes twice the time (`python -m benchmarks.adaptation --arm f-sam`).
    Expect: no gain for a head. On 1,330 rows of such features, divided in three ways, a mean accuracy on 2,460 other
    rows of .949, with a radius of .1 .954, with AdamW alone .954; where AUGRC picks the epoch .955, .955 and .954, and
    an AUGRC of .0046, .0047 and .0047.
    """
    plain = cached_features_training()
    return plain.model_copy(update={"optimizer": FriendlySamConfig(base=AdamWConfig(lr_head=1e-3))})


def historical_training() -> TrainingConfig:
    """The historical trainer (its first full version): constants, schedule, accumulation, average and log.

    Run: `stage1 train` with this config, or the `baseline_parity` recipe.
    Expect: the learning rates of its log to the printed digit, 4.95e-05 after epoch 1 of 6,251 rows; a validation
    accuracy near that of the initial head, since the average keeps 99 % of it. docs/parity.md lists what differs.
    """
    return TrainingConfig(
        objective=CrossEntropyConfig(weight_classes=True, label_smoothing=0.1),
        optimizer=AdamWConfig(lr_head=1e-4, lr_backbone=1e-5, weight_decay=0.01),
        schedule=HistoricalScheduleConfig(warmup_epochs=1),
        average=ConstantAverageConfig(decay=0.9999),
        selection=SelectionConfig(metric=SelectionMetric.ACCURACY, patience=3),
        batch=BatchConfig(
            sizes=(64, 32),
            accumulation=CarriedAccumulation(micro_batches=2),
            drop_last=True,
            loss_average="batches",
        ),
        epochs=10,
        max_grad_norm=1.0,
        precision="fp16",
        epoch_log=EpochLogConfig(legacy_exit_threshold_for_logging=0.88, best_accuracy="before_epoch"),
    )


def historical_training_of_second_version() -> TrainingConfig:
    """Its second version: learning rate 8e-5, smoothing .15, weight decay .05; used with a dropout of .45.

    Run: as `historical_training`, with 15 epochs, the default of its source though not of its command line.
    Expect: learning rates 4.00e-05, 8.00e-05, 7.97e-05 after the first epochs of 18,736 rows.
    """
    first = historical_training()
    return first.model_copy(
        update={
            "objective": CrossEntropyConfig(weight_classes=True, label_smoothing=0.15),
            "optimizer": AdamWConfig(lr_head=8e-5, lr_backbone=1e-5, weight_decay=0.05),
            "epochs": 15,
        }
    )

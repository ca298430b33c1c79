"""What came of training on a backbone, as values that are stored and shown. Light to import."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stage1_core.config import FrozenModel


class ProbeResult(FrozenModel):
    """On the SELECT_MODEL rows."""

    augrc: Annotated[float, Field(ge=0, le=0.5)]
    """Area under the generalized risk coverage curve of the probe's confidence; lower is better."""
    accuracy: Annotated[float, Field(ge=0, le=1)]
    """Fraction."""


class EpochRecord(FrozenModel):
    """One epoch as it is kept. No timings: equal pretrainings give equal files."""

    epoch: Annotated[int, Field(ge=0)]
    """0 is the original backbone."""
    loss: float | None
    """Mean over the pictures; absent for epoch 0."""
    probe: ProbeResult
    """Of the merged backbone."""
    changed_wrongly: tuple[str, ...]
    """Names of tensors that may not change and were others after the epoch, in the network that was trained."""


class PretrainingLog(FrozenModel):
    """All epochs so far, the original backbone first."""

    epochs: tuple[EpochRecord, ...] = ()


class PretrainingReport(FrozenModel):
    """What a pretraining did."""

    epochs: tuple[EpochRecord, ...]
    """The original backbone first."""
    kept_epoch: Annotated[int, Field(ge=0)]
    """The epoch of the backbone that was kept; 0 where the probe never improved on the original."""
    trainable_parameters: Annotated[int, Field(ge=0)]
    """Numbers that were trained in the backbone, the low-rank factors counted as such."""
    changed: tuple[str, ...]
    """Names of tensors of the kept backbone that differ from the original; none for epoch 0."""
    changed_wrongly: tuple[str, ...]
    """Names of tensors that may not change, and did in any epoch or in the kept backbone. Empty, or the pretraining
    must not be used."""


class AdapterFacts(FrozenModel):
    """Whether the adapter that was trained is the one that is released."""

    adapted_layers: Annotated[int, Field(ge=0)]
    """Linear layers with a low-rank part."""
    trainable_in_backbone: Annotated[int, Field(ge=0)]
    """Numbers that were trained in the backbone."""
    pictures: Annotated[int, Field(ge=1)]
    """Looked at for the three differences."""
    merged_difference: Annotated[float, Field(ge=0)]
    """Largest difference of a feature between the adapted and the merged backbone, over the largest feature."""
    reloaded_difference: Annotated[float, Field(ge=0)]
    """The same between the adapter as it was trained and as it was saved and loaded."""
    score_difference: Annotated[float, Field(ge=0)]
    """Largest difference of a class logit between the model that was trained, as it gave its scores, and what is
    released, over the largest logit."""
    tau: tuple[float, float] | None
    """Lowest and highest τ of DoRAN's layers, in the unit of ‖W‖; None for other adapters."""

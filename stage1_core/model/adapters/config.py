"""What of the backbone is trained along with the head. Light to import: nothing here needs torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stage1_core.config import FrozenModel

Blocks = Annotated[int, Field(ge=1, le=1000)]

Targets = Literal["attention_qv", "attention", "all_linear"]
"""Linear layers of a transformer block: query and value, all of the attention, or those of the MLP too."""


class FrozenBackboneConfig(FrozenModel):
    """Nothing: the backbone stays as it was loaded, and only the head is trained."""

    kind: Literal["frozen"] = "frozen"


class FullFineTuningConfig(FrozenModel):
    """The weights themselves, of the whole backbone or of its last blocks with the norm behind them."""

    kind: Literal["full"] = "full"
    last_blocks: Blocks | None = None
    """Transformer blocks to train, counted from the last; None trains all weights of any architecture."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: less memory, more time, same numbers."""


class LowRankConfig(FrozenModel):
    """What LoRA and its variants share: a matrix B·A of low rank beside the weights of some linear layers."""

    rank: Annotated[int, Field(ge=1, le=1024)] = 8
    """Rows of A, columns of B."""
    alpha: Annotated[int, Field(ge=1, le=4096)] = 16
    """B·A is multiplied by alpha / rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability that an input of A is dropped while fitting. DoRA and DoRAN then compute the layer twice."""
    targets: Targets = "attention_qv"
    """Which linear layers of a block. Where one layer makes query, key and value at once (timm), "attention_qv" adapts
    the whole of it: the key cannot be left out."""
    last_blocks: Blocks | None = None
    """Transformer blocks to adapt, counted from the last; None adapts all."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: less memory, more time, same numbers."""


class LoraAdapterConfig(LowRankConfig):
    """LoRA (Hu et al., arXiv 2106.09685): W + s·B·A with s = alpha / rank."""

    kind: Literal["lora"] = "lora"


class DoraAdapterConfig(LowRankConfig):
    """DoRA (Liu et al., arXiv 2402.09353): m · (W + s·B·A) / ‖W + s·B·A‖ with a trained magnitude m for each output."""

    kind: Literal["dora"] = "dora"


class DoranAdapterConfig(LowRankConfig):
    """DoRAN (arXiv 2510.04331): m · (W + s·B·A) / (‖W + s·B·A‖ + τ) with one trained τ > 0 for each adapted layer.

    An experiment: the paper's second part, networks that generate A and B, is left out. A large τ makes the magnitude
    meaningless, so watch it.
    """

    kind: Literal["doran"] = "doran"
    initial_tau: Annotated[float, Field(gt=0, le=10)] = 0.01
    """τ before the first step, in the unit of ‖W‖, the norm of a row of weights."""


AdapterConfig = Annotated[
    FrozenBackboneConfig | FullFineTuningConfig | LoraAdapterConfig | DoraAdapterConfig | DoranAdapterConfig,
    Field(discriminator="kind"),
]
"""Every way to train the backbone; `kind` tells them apart."""

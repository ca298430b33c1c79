"""A backbone of which a part is trained, and the ordinary backbone that comes of it."""

from __future__ import annotations

import copy
from typing import Self

from torch import Tensor, nn

from stage1_core.model.adapters.checkpointing import checkpoint_gradients, follow_mode, keep_activations
from stage1_core.model.adapters.config import AdapterConfig, FrozenBackboneConfig, FullFineTuningConfig
from stage1_core.model.adapters.low_rank import adapted_layers, add_low_rank, fold_low_rank
from stage1_core.model.adapters.targets import fine_tuned_parameters
from stage1_core.model.backbone import Backbone


class AdaptedBackbone(nn.Module):
    """Pixels to features like `Backbone`, with trainable parameters as `config` says.

    The network computes as in evaluation while it is trained too: no rescaled position embeddings, no dropout or
    statistics of its own. Only the dropout of adapters follows the mode.
    """

    def __init__(self, base: Backbone, config: AdapterConfig) -> None:
        super().__init__()
        self.base = base
        self.config = config
        self.hidden = base.hidden
        self.input_size = base.input_size
        self.eval()

    @property
    def trainable_parameter_count(self) -> int:
        """Number of weights that are trained: what this adapter costs in a checkpoint and in optimizer states."""
        return sum(trainable_census(self).values())

    def forward(self, pixels: Tensor) -> Tensor:
        """Features ``(n, hidden)`` of ``pixels`` ``(n, 3, h, w)`` in [0, 1]. Raises `ModelError` for other shapes."""
        features: Tensor = self.base(pixels)
        return features

    def train(self, mode: bool = True) -> Self:
        """Set the mode of adapters, and of nothing else in the network."""
        super().train(mode)
        for layer in adapted_layers(self.base.network).values():
            layer.train(mode)
        follow_mode(self.base.network, mode and _checkpoints(self.config))
        return self


def adapt(backbone: Backbone, config: AdapterConfig, *, seed: int) -> AdaptedBackbone:
    """A copy of ``backbone`` whose part that ``config`` names can be trained; its features are what they were.

    All that is drawn depends on ``seed`` alone. Raises `ModelError` where the architecture has no such part.
    """
    base = copy.deepcopy(backbone)
    match config:
        case FrozenBackboneConfig():
            pass
        case FullFineTuningConfig(last_blocks=last_blocks):
            for parameter in fine_tuned_parameters(base.network, last_blocks).values():
                parameter.requires_grad_(True)
        case _:
            add_low_rank(base.network, config, seed=seed)
    if _checkpoints(config):
        checkpoint_gradients(base.network)
    return AdaptedBackbone(base, config)


def merge(adapted: AdaptedBackbone) -> Backbone:
    """A frozen backbone of the original architecture with the features of ``adapted``, which is left as it is.

    Its config still names the weights from before: save it and go on with the config that `save_backbone` returns.
    Raises `ModelError` where weights are not finite.
    """
    merged = copy.deepcopy(adapted.base)
    fold_low_rank(merged.network)
    if _checkpoints(adapted.config):
        keep_activations(merged.network)
    return merged.requires_grad_(False).eval()


def adapted_modules(adapted: AdaptedBackbone) -> tuple[str, ...]:
    """Names of the linear layers that have an adapter, in the network's order."""
    return tuple(adapted_layers(adapted.base.network))


def trainable_census(model: nn.Module) -> dict[str, int]:
    """Number of weights of each parameter that is trained, by name."""
    return {name: parameter.numel() for name, parameter in model.named_parameters() if parameter.requires_grad}


def _checkpoints(config: AdapterConfig) -> bool:
    return not isinstance(config, FrozenBackboneConfig) and config.gradient_checkpointing

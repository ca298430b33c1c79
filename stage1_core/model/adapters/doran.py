"""DoRAN as a variant of peft's LoRA: DoRA whose denominator has a trained summand τ.

DoRAN (arXiv 2510.04331): W' = m · (W + s·B·A) / (‖W + s·B·A‖ + τ), norms over rows (one for each output), taken as
constants in the backward pass as DoRA does. τ = softplus(raw τ), one number for each layer; m begins at ‖W‖ + τ, so
that the adapted layer begins as the original one. The auxiliary networks of the paper are not part of this.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.lora import Linear
from peft.tuners.lora.dora import DoraLinearLayer
from peft.tuners.lora.variants import DoraLinearVariant
from torch import Tensor, nn
from torch.nn import functional


@dataclass
class DoranLoraConfig(LoraConfig):
    """peft's configuration with a variant of its own: peft's own layers refuse it, and do not take it for DoRA."""

    use_doran: bool = field(default=True, metadata={"is_lora_variant": True})
    initial_tau: float = 0.01

    def __post_init__(self) -> None:
        """Let layers of this module take the place of `torch.nn.Linear`."""
        super().__post_init__()  # type: ignore[no-untyped-call]  # peft's
        self._register_custom_module({nn.Linear: DoranLinear})


class DoranLinear(Linear):
    """A linear layer with an adapter that may be a DoRAN."""

    @property
    def lora_variants(self) -> dict[tuple[str, ...], Any]:
        """peft's own variants and this one."""
        return {**super().lora_variants, ("use_doran",): DoranVariant}


class DoranVariant(DoraLinearVariant):
    """Forward and merge are those of DoRA, with the magnitudes of this module."""

    @staticmethod
    def init(module: Any, adapter_name: str, **kwargs: Any) -> None:
        """Put magnitudes into ``module`` that leave its output unchanged."""
        config: DoranLoraConfig = kwargs["config"]
        lora_A, lora_B = module.lora_A[adapter_name].weight, module.lora_B[adapter_name].weight
        magnitude = DoranMagnitude(config.initial_tau).to(lora_A.device)
        magnitude.update_layer(
            base_layer=module.get_base_layer(),
            lora_A=lora_A,
            lora_B=lora_B,
            scaling=module.scaling[adapter_name],
        )
        module.lora_magnitude_vector[adapter_name] = magnitude


def taus(network: nn.Module) -> list[float]:
    """τ of each layer that has one, in the network's order."""
    return [float(module.tau.detach()) for module in network.modules() if isinstance(module, DoranMagnitude)]


class DoranMagnitude(DoraLinearLayer):
    """m ``(out,)`` and τ of one layer."""

    def __init__(self, initial_tau: float) -> None:
        super().__init__(fan_in_fan_out=False)  # type: ignore[no-untyped-call]  # peft's
        exact = torch.tensor(initial_tau, dtype=torch.float64)
        self.raw_tau = nn.Parameter(exact.expm1().log().float())

    @property
    def tau(self) -> Tensor:
        """The summand in the denominator, a scalar above 0."""
        return functional.softplus(self.raw_tau)

    def get_weight_norm(
        self, weight: Tensor, lora_weight: Tensor, scaling: float, adapter_name: str | None = None
    ) -> Tensor:
        """The whole denominator ``(out,)``; peft calls this at the start, in each pass and when it merges."""
        norm: Tensor = super().get_weight_norm(weight, lora_weight, scaling)
        return norm.detach() + self.tau

    def update_layer(self, **layer: Any) -> None:
        """Set m to the denominator as it is now."""
        with torch.no_grad():
            super().update_layer(**layer)

    def forward(
        self,
        x: Tensor,
        *,
        lora_A: nn.Linear,
        lora_B: nn.Linear,
        scaling: float,
        base_layer: nn.Linear,
        base_result: Tensor | None = None,
        adapter_name: str = "default",
    ) -> Tensor:
        """What is added to the output of ``base_layer``. As in peft's DoRA, but τ is in the graph."""
        lora_weight = self.get_lora_weight(lora_A=lora_A, lora_B=lora_B).detach()
        denominator = self.get_weight_norm(base_layer.weight, lora_weight, scaling)
        factor = (self.weight / denominator).view(1, -1)
        if base_result is None:
            base_result = functional.linear(x, base_layer.weight)
        elif base_layer.bias is not None:
            base_result = base_result - base_layer.bias
        low_rank: Tensor = lora_B(lora_A(x))
        return (factor - 1) * base_result + factor * low_rank * scaling

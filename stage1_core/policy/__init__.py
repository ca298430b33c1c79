"""Exit policies. A new one is one module here and its two names in the unions below."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stage1_core.policy.gate import GatePolicy, GatePolicyConfig
from stage1_core.policy.no_exit import NoExit
from stage1_core.policy.scrc import ScrcPolicy, ScrcPolicyConfig
from stage1_core.policy.softmax import SoftmaxPolicy, SoftmaxPolicyConfig

AnyPolicy = Annotated[SoftmaxPolicy | GatePolicy | ScrcPolicy | NoExit, Field(discriminator="kind")]
"""Every fitted policy; `kind` tells them apart."""

AnyPolicyConfig = Annotated[SoftmaxPolicyConfig | GatePolicyConfig | ScrcPolicyConfig, Field(discriminator="kind")]
"""Every way to fit a policy."""

__all__ = [
    "AnyPolicy",
    "AnyPolicyConfig",
    "GatePolicy",
    "GatePolicyConfig",
    "NoExit",
    "ScrcPolicy",
    "ScrcPolicyConfig",
    "SoftmaxPolicy",
    "SoftmaxPolicyConfig",
]

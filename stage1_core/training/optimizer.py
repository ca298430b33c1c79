"""How the weights follow the gradient. A new optimizer is one module here and its name in the union below."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stage1_core.training.adamw import AdamWConfig
from stage1_core.training.sharpness import FriendlySamConfig

OptimizerConfig = Annotated[AdamWConfig | FriendlySamConfig, Field(discriminator="kind")]
"""Every optimizer; `kind` tells them apart."""

__all__ = ["AdamWConfig", "FriendlySamConfig", "OptimizerConfig"]

"""Phases of which any may stand in one place: which one a configuration is of."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pydantic import Discriminator

from stage1_core.config import FrozenModel

OWN_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "pretraining": "domain_adaptation",
        "arms": "domain_adaptation",
        "shared": "domain_adaptation",
        "sharpness": "sharpness",
        "risk": "conformal",
    }
)
"""Fields that one phase alone has."""
BY_PHASES_BELOW: Mapping[int, str] = MappingProxyType({2: "gate", 3: "domain_adaptation", 4: "sharpness"})


def phase_of(config: object) -> str | None:
    """Name of the phase: by a field that it alone has, else of the lowest that stands on as many others.

    A gate has no field of its own, and a file need not name every field. None for what is no configuration.
    """
    fields = _fields(config)
    if fields is None:
        return None
    own = [phase for field, phase in OWN_FIELDS.items() if field in fields]
    below = max(_phases_below(config), min(BY_PHASES_BELOW))
    return own[0] if own else BY_PHASES_BELOW.get(below, "conformal")


TOLD_APART = Discriminator(
    phase_of,
    custom_error_type="phase",
    custom_error_message="no phase that may stand here looks like this; stage1 run PHASE --recipe demo --show prints "
    "one that does",
)
"""For a union of phases, each tagged with its name: what is wrong in one is said of the fields of that one alone."""


def _fields(config: object) -> Mapping[str, object] | None:
    if isinstance(config, FrozenModel):
        return dict(config)
    return config if isinstance(config, Mapping) else None


def _phases_below(config: object) -> int:
    fields = _fields(config) or {}
    return 1 + _phases_below(fields["previous"]) if "previous" in fields else 0

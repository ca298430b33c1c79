"""Where moves of aliases begin, and the writes that they are made of. Imports nothing that starts a thread."""

from __future__ import annotations

from stage1_core.promotion.intent import Aliases

BEFORE = Aliases(candidate="3", champion="2", previous="1")
REGISTRY_WRITES = (
    "set_registered_model_tag",
    "delete_registered_model_tag",
    "set_registered_model_alias",
    "delete_registered_model_alias",
    "set_model_version_tag",
)
"""Methods of MLflow's client that change the registry."""

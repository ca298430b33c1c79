"""The notice about a backbone's licence that goes into a bundle. A summary in plain words, not the licence itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stage1_core.model.backbone_config import (
    ROAD_SCENES_VIT,
    BackboneConfig,
    PackageWeights,
    PretrainedWeights,
    RandomWeights,
    TransformersBackboneConfig,
)
from stage1_core.model.weights import transformers_folder

_DINOV3 = """\
{name}: DINOv3 License (the DINOv3 agreement of 19 August 2025).
It grants free use, copying and derivatives. Whoever passes on the weights, or anything derived from them, does so under
the same agreement and adds a copy of it. Publications that rest on the model acknowledge it. Military, nuclear and
weapons uses, and uses that arms-traffic rules (ITAR) cover, are excluded; export and sanctions rules apply. The rights
end with a breach. Access on the hub is gated: each user accepts the terms there.
A bundle that contains this backbone, also with an adapter merged into it, must carry the agreement's full text next to
this notice. A bundle with the head alone refers to the backbone; whether a head derives from it is a legal question
that this notice does not answer.
"""
_APACHE = """\
{name}: Apache License 2.0.
Use, changes and redistribution are free, also commercially, when the licence's text and existing notices are kept and
changed files say that they were changed. Contributors grant their patents; names and marks are not granted. There is no
warranty.
"""
_UNTRAINED = """\
{name}: untrained, randomly initialised weights; nobody else's weights are contained.
"""
_NAMED = """\
{name}: licence "{licence}" according to the record that comes with the model.
Read that licence before passing the weights on.
"""
_UNKNOWN = """\
{name}: the licence of these weights is not known to this program.
Find it out before passing the weights on, and add its text to the bundle.
"""


def licence_notice(config: BackboneConfig) -> str:
    """A few lines, ending in a newline: which licence the weights are under and what that asks for.

    Goes by the model's name, and for local folders by "licence" or else the model type in config.json; never looks
    anything up.
    """
    name = _model_name(config)
    family = _family(config)
    if isinstance(config, TransformersBackboneConfig):
        said = _settings(config).get("licence")
        licence = said or {"dinov3": "dinov3-license", "dinov2": "apache-2.0"}.get(family)
    elif isinstance(config.weights, RandomWeights):
        return _UNTRAINED.format(name=name)
    elif family == "dinov3":
        licence = "dinov3-license"
    elif config.weights == PackageWeights() or family == "dinov2":
        licence = "apache-2.0"
    else:
        licence = _registered_licence(config.model) if isinstance(config.weights, PretrainedWeights) else None
    if licence is None:
        return _UNKNOWN.format(name=name)
    known = {"dinov3-license": _DINOV3, "apache-2.0": _APACHE}
    return known.get(licence, _NAMED).format(name=name, licence=licence)


def _model_name(config: BackboneConfig) -> str:
    """What a reader outside this machine can make sense of: a folder's last part, not its path."""
    if isinstance(config, TransformersBackboneConfig) and Path(config.model).is_dir():
        return Path(config.model).resolve().name
    return config.model


def _family(config: BackboneConfig) -> str:
    text = config.model
    if isinstance(config, TransformersBackboneConfig):
        text = str(_settings(config).get("model_type", config.model))
    text = text.lower()
    return next((family for family in ("dinov3", "dinov2") if family in text), "")


def _settings(config: TransformersBackboneConfig) -> dict[str, Any]:
    """Content of config.json, where the model lies here; empty for a hub id."""
    shipped = config.model == ROAD_SCENES_VIT.model
    settings = (transformers_folder(config) if shipped else Path(config.model)) / "config.json"
    found: dict[str, Any] = json.loads(settings.read_bytes()) if settings.is_file() else {}
    return found


def _registered_licence(model: str) -> str | None:
    import timm.models

    registered = timm.models.get_pretrained_cfg(model, allow_unregistered=False) if timm.is_model(model) else None
    return registered.license if registered else None

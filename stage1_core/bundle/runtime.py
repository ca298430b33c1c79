"""What production imports: a verified bundle that decides about pictures. No orchestrator, tracker or training code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.special import expit

from stage1_core.bundle.inference import Picture, score_pictures
from stage1_core.bundle.integrity import (
    check_contents,
    check_listing,
    check_schemas,
    read_golden,
    read_manifest,
    read_policy,
)
from stage1_core.bundle.manifest import BundleManifest, EmbeddedBackbone, ReferencedBackbone
from stage1_core.data.transforms import EvalTransform
from stage1_core.errors import BundleError, ModelError, Stage1Error
from stage1_core.model.backbone import backbone_digest, load_backbone, saved_backbone_config
from stage1_core.model.backbone_config import BackboneConfig
from stage1_core.model.classifier import Classifier
from stage1_core.model.head import build_head
from stage1_core.model.state_dict import load_whole, read_state_dict
from stage1_core.policy import AnyPolicy
from stage1_core.policy.class_scores import class_scores
from stage1_core.policy.gate import stage_b_label
from stage1_core.predictions import Scores


@dataclass(frozen=True, slots=True)
class Decision:
    """What Stage 1 says about one picture."""

    label: int | None
    """0 or 1 where the picture exits, None where it goes on to the second stage."""
    exited: bool
    probability: float
    """P(roadwork) that the label goes by, in [0, 1]: calibrated where the policy calibrates classes, else the model's
    own. Only decisions are certified, probabilities are not."""
    prediction_set: tuple[int, ...]
    """The classes that are left: (0,), (1,) or (0, 1)."""
    stage_b_label: int | None = None
    """0 or 1, what stage B answers where the picture does not exit and the policy leaves the rest to it. Not certified:
    the promise is about exits."""


@dataclass(frozen=True, slots=True, eq=False)
class Stage1:
    """A loaded bundle."""

    manifest: BundleManifest
    classifier: Classifier
    transform: EvalTransform
    policy: AnyPolicy
    device: str

    def scores(
        self, pictures: Sequence[Picture], *, names: Sequence[str] | None = None, batch_size: int = 32
    ) -> Scores:
        """Logits of ``pictures``; ``names`` (unique) become their ids. Raises `DataError` naming a broken picture."""
        given = [str(p) if isinstance(p, Path | str) else f"picture {i}" for i, p in enumerate(pictures)]
        return score_pictures(
            self.classifier,
            self.transform,
            pictures,
            given if names is None else names,
            device=self.device,
            batch_size=batch_size,
        )

    def decide(self, pictures: Sequence[Picture], *, batch_size: int = 32) -> list[Decision]:
        """One decision for each picture, in their order. Raises `DataError` naming a broken picture."""
        scores = self.scores(pictures, batch_size=batch_size)
        return as_decisions(scores, self.policy)

    __call__ = decide


def as_decisions(scores: Scores, policy: AnyPolicy) -> list[Decision]:
    """What ``policy`` does with ``n`` pictures, with the probabilities that it goes by."""
    decisions = policy.decide(scores)
    probability = np.clip(expit(class_scores(policy, scores).margin_logits), 0.0, 1.0)
    answers = stage_b_label(scores).tolist() if policy.rest == "stage_b" else [None] * len(scores)
    return [
        Decision(
            label=int(label) if exited else None,
            exited=bool(exited),
            probability=float(chance),
            prediction_set=tuple(int(c) for c in np.flatnonzero(classes)),
            stage_b_label=None if exited else answer,
        )
        for label, exited, chance, classes, answer in zip(
            decisions.label, decisions.exited, probability, decisions.prediction_set, answers, strict=True
        )
    ]


def load_bundle(
    path: Path | str,
    *,
    device: str = "cpu",
    verify: bool = True,
    replay: bool = True,
    allow_void_certificate: bool = False,
) -> Stage1:
    """The bundle at ``path``, ready to decide on ``device``.

    ``verify`` digests every file and validates every JSON file; ``replay`` runs the golden pictures. A bundle that was
    changed and sealed again loads only with ``allow_void_certificate``: nothing is certified about it.
    Raises `BundleError` naming what is missing, altered, unknown or not reproduced.
    """
    folder = Path(path).resolve()
    manifest = read_manifest(folder)
    if manifest.resealed and not allow_void_certificate:
        raise BundleError(
            f"{folder} was changed and sealed again after its release: its certificate is void. Use the released "
            "bundle, or allow_void_certificate=True for an experiment"
        )
    check_listing(folder, manifest)
    if verify:
        check_contents(folder, manifest)
        check_schemas(folder, manifest)
    stage1 = Stage1(
        manifest=manifest,
        classifier=load_classifier(folder, manifest, device=device),
        transform=manifest.model.transform,
        policy=read_policy(folder, manifest),
        device=device,
    )
    if replay:
        replay_golden(stage1, folder)
    return stage1


def load_classifier(folder: Path, manifest: BundleManifest, *, device: str) -> Classifier:
    """Backbone and head, in eval mode. Raises `BundleError` where they are damaged or not those of the manifest."""
    model = manifest.model
    _require_device(device)
    try:
        head = build_head(model.in_features, model.head, seed=0)
        load_whole(head, read_state_dict(folder / model.weights), source=model.weights, may_lack=())
        backbone = load_backbone(_backbone_config(folder, model.backbone), device=device)
    except ModelError as error:
        raise BundleError(f"the model of {folder} cannot be loaded: {error}") from error
    if backbone.hidden != model.in_features:
        raise BundleError(
            f"{folder}: the backbone gives {backbone.hidden} features, the head reads {model.in_features}"
        )
    return Classifier(backbone, head).eval().to(device)


def replay_golden(stage1: Stage1, folder: Path) -> None:
    """Decide the golden pictures again. Raises `BundleError` where a logit or a decision differs."""
    golden = read_golden(folder, stage1.manifest)
    names = [picture.file for picture in golden.pictures]
    try:
        scores = stage1.scores([folder / name for name in names], names=names)
        decisions = stage1.policy.decide(scores)
    except Stage1Error as error:
        raise BundleError(f"{folder}: the golden pictures cannot be decided: {error}") from error
    golden.require_reproduced(scores, decisions)


def _require_device(device: str) -> None:
    try:
        known = torch.device(device)
    except RuntimeError as error:
        raise BundleError(f"there is no device {device!r}; give cpu, cuda or cuda:0") from error
    if known.type == "cuda" and (known.index or 0) >= torch.cuda.device_count():
        raise BundleError(
            f"device {device!r} is asked for, but this machine has {torch.cuda.device_count()} GPUs; give cpu"
        )


def _backbone_config(folder: Path, backbone: EmbeddedBackbone | ReferencedBackbone) -> BackboneConfig:
    if isinstance(backbone, EmbeddedBackbone):
        config = saved_backbone_config(folder / backbone.folder)
        advice = "get the bundle again from where it was released"
    else:
        config = backbone.config
        advice = "install the backbone that the manifest names"
    found = backbone_digest(config)
    if found != backbone.sha256:
        raise BundleError(f"the backbone has digest {found[:12]}…, the head needs {backbone.sha256[:12]}…; {advice}")
    return config

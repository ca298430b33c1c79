"""A rehearsal of what a release promises about itself: it loads, it resists, and its threshold is what decides."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from stage1_core.acceptance import FactCheck
from stage1_core.bundle.contents import BundleContents
from stage1_core.bundle.release import release_bundle
from stage1_core.bundle.resealing import reseal
from stage1_core.bundle.runtime import load_bundle
from stage1_core.config import FrozenModel
from stage1_core.errors import BundleError
from stage1_core.policy import AnyPolicy
from stage1_core.predictions import Boolean, Scores

LOADS = "the bundle exports, loads and decides its golden pictures as released"
REFUSED = "a bundle whose threshold was changed is refused"
CHANGES = "the threshold in the bundle is what decides"


class Rehearsal(FrozenModel):
    """What was seen when the bundle was made on trial. A fact that could not be tried is open: holds is None."""

    facts: tuple[FactCheck, ...]


def rehearse(contents: BundleContents, scores: Scores) -> Rehearsal:
    """Make the bundle on trial, tamper with it, seal it again, and count how many of ``scores`` change decision."""
    with TemporaryDirectory(prefix="stage1-rehearsal-") as place:
        bundle = Path(place) / "bundle"
        try:
            release_bundle(contents, bundle)
            released = load_bundle(bundle)
        except BundleError as error:
            loads = FactCheck(name=LOADS, holds=False, evidence=_without(str(error), place))
            return Rehearsal(facts=(loads, *_open("there is no bundle that loads")))
        loads = FactCheck(name=LOADS, holds=True, evidence=f"{len(released.manifest.files)} files, all as sealed")
        if not released.policy.can_exit:
            return Rehearsal(facts=(loads,))  # there is no threshold to change
        changed_policy = released.policy.strictest().to_json()
        (bundle / released.manifest.policy.file).write_text(changed_policy, encoding="utf-8")
        refused = _refusal(bundle, place)
        reseal(bundle)
        changed = load_bundle(bundle, allow_void_certificate=True)
        return Rehearsal(facts=(loads, refused, _difference(released.policy, changed.policy, scores)))


def _refusal(bundle: Path, place: str) -> FactCheck:
    try:
        load_bundle(bundle)
    except BundleError as error:
        return FactCheck(name=REFUSED, holds=True, evidence=_without(str(error), place))
    return FactCheck(name=REFUSED, holds=False, evidence="it was loaded")


def _difference(released: AnyPolicy, changed: AnyPolicy, scores: Scores) -> FactCheck:
    before, after = released.decide(scores), changed.decide(scores)
    differs: Boolean = (before.prediction_set != after.prediction_set).any(axis=1)
    evidence = (
        f"at its strictest and sealed again, {np.count_nonzero(differs)} of {len(scores)} decisions change: "
        f"{np.count_nonzero(before.exited)} exits become {np.count_nonzero(after.exited)}"
    )
    return FactCheck(name=CHANGES, holds=bool(differs.any()), evidence=evidence)


def _open(reason: str) -> tuple[FactCheck, FactCheck]:
    return (
        FactCheck(name=REFUSED, holds=None, evidence=reason),
        FactCheck(name=CHANGES, holds=None, evidence=reason),
    )


def _without(text: str, place: str) -> str:
    """The message without the temporary folder, so that equal rehearsals are equal artifacts."""
    return text.replace(str(Path(place).resolve()) + "/", "").replace(place + "/", "")

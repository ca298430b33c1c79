"""Golden pictures: decisions that every consumer of a bundle must reproduce before it may decide anything else."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product, zip_longest
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from stage1_core.bundle.inference import score_pictures
from stage1_core.bundle.manifest import BundlePath
from stage1_core.config import FrozenModel
from stage1_core.data.pictures import open_picture
from stage1_core.data.transforms import EvalTransform
from stage1_core.errors import BundleError
from stage1_core.model.classifier import Classifier
from stage1_core.policy.certify import Decides
from stage1_core.predictions import Boolean, Decisions, Float, Scores

LOGIT_TOLERANCE = 1e-3
"""Largest difference of a logit between machines, absolute."""

GOLDEN_FILE = "golden.json"

_BATCH = 32
_DECIMALS = 4
"""Logits are written to a tenth of the tolerance, so that rebuilding gives the same bytes."""

_MARGIN_OF_CHOICE = 4.0
"""Golden pictures keep their decision when each logit moves by this many tolerances."""

_KEPT_SCALE = 1.5
"""Pictures are kept at up to this many times the transform's size, so that resizing is replayed too."""


class GoldenPicture(FrozenModel):
    """One picture with what the model and the policy said about it when the bundle was made."""

    file: BundlePath
    """PNG, as the transform gets it."""
    label: Literal[0, 1] | None
    """The true class, where known."""
    logits: tuple[float, float]
    gate_logit: float | None = None
    aux_logits: tuple[float, float] | None = None
    """Class logits of the auxiliary output, stage B."""
    prediction_set: tuple[bool, bool]


class Golden(FrozenModel):
    """golden.json."""

    logit_tolerance: Annotated[float, Field(gt=0, le=1e-2)] = LOGIT_TOLERANCE
    """Largest allowed difference of a logit, absolute. Decisions must agree exactly."""
    pictures: Annotated[tuple[GoldenPicture, ...], Field(min_length=1)]

    def scores(self) -> Scores:
        """The expected scores, with file names as ids."""
        gates = [picture.gate_logit for picture in self.pictures]
        gate_logits = None if None in gates else np.array(gates, dtype=np.float64)
        auxiliary = [picture.aux_logits for picture in self.pictures]
        aux_logits = None if None in auxiliary else np.array(auxiliary, dtype=np.float64)
        logits = np.array([picture.logits for picture in self.pictures], dtype=np.float64)
        return Scores(np.array([picture.file for picture in self.pictures]), logits, gate_logits, aux_logits)

    def with_decisions_of(self, policy: Decides) -> Golden:
        """The same pictures with what ``policy`` decides on the expected scores."""
        sets = policy.decide(self.scores()).prediction_set
        pictures = (
            picture.model_copy(update={"prediction_set": (bool(row[0]), bool(row[1]))})
            for picture, row in zip(self.pictures, sets, strict=True)
        )
        return Golden(logit_tolerance=self.logit_tolerance, pictures=tuple(pictures))

    def require_reproduced(self, scores: Scores, decisions: Decisions) -> None:
        """Raise `BundleError` naming the first picture whose logits or decision differ."""
        expected = self.scores()
        difference = _differences(expected, scores)
        for index, picture in enumerate(self.pictures):
            if not difference[index] <= self.logit_tolerance:
                raise BundleError(
                    f"golden picture {picture.file}: logits differ by {difference[index]:.3g}, allowed is "
                    f"{self.logit_tolerance:g}; the weights, the preprocessing or the libraries are not those that "
                    "were certified. Do not use this bundle here"
                )
            if tuple(decisions.prediction_set[index].tolist()) != picture.prediction_set:
                raise BundleError(
                    f"golden picture {picture.file}: decided {decisions.prediction_set[index].tolist()}, expected "
                    f"{list(picture.prediction_set)}; the policy is not the one that was certified"
                )


@dataclass(frozen=True, slots=True, eq=False)
class GoldenCandidate:
    """A picture that may become golden."""

    path: Path
    label: Literal[0, 1] | None = None
    """The true class, where known."""


def golden_png(image: Image.Image, output_size: tuple[int, int]) -> bytes:
    """``image`` as PNG, shrunk where its shorter side exceeds 1.5 times the transform's size."""
    image = image.convert("RGB")
    scale = _KEPT_SCALE * max(output_size) / min(image.size)
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(buffer, format="PNG")
    return buffer.getvalue()


def choose_golden(
    policy: Decides, scores: Scores, labels: Sequence[int | None], count: int, tolerance: float = LOGIT_TOLERANCE
) -> list[int]:
    """Indices of up to ``count`` candidates, in their order, spread over (class, decision), none near a threshold."""
    decisions = policy.decide(scores)
    firm = _firm(policy, scores, decisions, _MARGIN_OF_CHOICE * tolerance)
    cells: dict[tuple[str, int], list[int]] = {}
    for index in np.flatnonzero(firm).tolist():
        cells.setdefault((str(labels[index]), int(decisions.label[index])), []).append(index)
    in_turn = (index for turn in zip_longest(*(cells[key] for key in sorted(cells))) for index in turn)
    chosen = [index for index in in_turn if index is not None][:count]
    if not chosen:
        raise BundleError(
            f"none of {len(scores)} candidate pictures is clear of the policy's thresholds; give more golden candidates"
        )
    return sorted(chosen)


def write_golden(
    folder: Path,
    candidates: Sequence[GoldenCandidate],
    model: Classifier,
    transform: EvalTransform,
    policy: Decides,
    count: int,
) -> str:
    """Choose among ``candidates``, write ``golden/*.png`` and golden.json below ``folder``; the name of the latter.

    Raises `BundleError` where no candidate will do, `DataError` for one that is broken.
    """
    encoded = [golden_png(open_picture(candidate.path), transform.output_size) for candidate in candidates]
    names = [f"golden/{index:02}.png" for index in range(len(candidates))]
    scores = score_pictures(model, transform, encoded, names, device="cpu", batch_size=_BATCH)
    chosen = choose_golden(policy, scores, [candidate.label for candidate in candidates], count)
    (folder / "golden").mkdir()
    for place, index in enumerate(chosen):
        (folder / names[place]).write_bytes(encoded[index])
    gates, auxiliary = scores.gate_logits, scores.aux_logits
    pictures = [
        GoldenPicture(
            file=names[place],
            label=_plain(candidates[index].label),
            logits=_rounded(scores.logits[index]),
            gate_logit=None if gates is None else round(float(gates[index]), _DECIMALS),
            aux_logits=None if auxiliary is None else _rounded(auxiliary[index]),
            prediction_set=(True, True),
        )
        for place, index in enumerate(chosen)
    ]
    golden = Golden(pictures=tuple(pictures)).with_decisions_of(policy)
    (folder / GOLDEN_FILE).write_text(golden.to_json(), encoding="utf-8")
    return GOLDEN_FILE


def _plain(label: int | None) -> Literal[0, 1] | None:
    """A numpy integer as Python's."""
    return None if label is None else (1 if label == 1 else 0)


def _rounded(pair: Float) -> tuple[float, float]:
    return round(float(pair[0]), _DECIMALS), round(float(pair[1]), _DECIMALS)


def _firm(policy: Decides, scores: Scores, decisions: Decisions, shift: float) -> Boolean:
    """``(n,)`` whether the decision stays the same at every corner of a box of half-width ``shift`` in logits."""
    firm = np.ones(len(scores), dtype=np.bool_)
    for zero, one, gate in product((-shift, shift), repeat=3):
        gates = None if scores.gate_logits is None else scores.gate_logits + gate
        moved = policy.decide(Scores(scores.ids, scores.logits + np.array([zero, one]), gates))
        firm &= (moved.prediction_set == decisions.prediction_set).all(axis=1)
    return firm


def _differences(expected: Scores, found: Scores) -> Float:
    difference: Float = np.abs(expected.logits - found.logits).max(axis=1)
    if (expected.gate_logits is None) != (found.gate_logits is None):
        raise BundleError("the head and the golden pictures disagree about having a gate; the bundle is mixed up")
    if expected.gate_logits is not None and found.gate_logits is not None:
        difference = np.maximum(difference, np.abs(expected.gate_logits - found.gate_logits))
    if expected.aux_logits is not None:
        if found.aux_logits is None:
            raise BundleError("the golden pictures have answers of stage B, the head has none; the bundle is mixed up")
        difference = np.maximum(difference, np.abs(expected.aux_logits - found.aux_logits).max(axis=1))
    return difference

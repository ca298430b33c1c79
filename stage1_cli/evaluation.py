"""`stage1 evaluate`: what a bundle does with labelled pictures of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stage1_cli._evaluation import AsJson, Confidence, Interval, Level, Method, Output, Resamples, Seed
from stage1_cli.bundles import BundleFolder, Device

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from stage1_core.bundle.runtime import Stage1
    from stage1_core.data.audit import Audit
    from stage1_core.data.config import DataConfig
    from stage1_core.data.loading import Batch
    from stage1_core.data.split_summary import SplitSummary
    from stage1_core.predictions import Predictions, Text


def evaluate(
    bundle: BundleFolder,
    data: Annotated[Path, typer.Argument(help="YAML or JSON: a phase's configuration, or its `data` part alone.")],
    output: Output = None,
    predictions: Annotated[Path | None, typer.Option(help="File.npz to write the logits and labels to.")] = None,
    as_json: AsJson = False,
    device: Device = "cpu",
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures a forward pass.")] = 32,
    confidence: Confidence = 0.9,
    resamples: Resamples = 1000,
    level: Level = 0.95,
    method: Interval = Method.BCA,
    seed: Seed = 0,
) -> None:
    """Decide labelled pictures with a bundle, and count how good the decisions are.

    The bundle is verified and the data are audited first. Every labelled picture that can be opened counts, whatever
    role its source has. The numbers describe these pictures and are no certificate. Where the model was trained or
    certified on some of them, they flatter.
    """
    from stage1_cli._configuration import read_data_config
    from stage1_cli._environment import prepare_environment
    from stage1_cli._evaluation import deliver, note, note_independence, require_place
    from stage1_core.bundle.runtime import load_bundle
    from stage1_core.data.replacing import replaced_file
    from stage1_core.data.split_summary import SplitSummary
    from stage1_core.metrics.bootstrap import BootstrapConfig
    from stage1_core.policy.evaluation import evaluate as measured_by

    prepare_environment()
    for place in (output, predictions):
        require_place(place)
    chosen = read_data_config(data)
    stage1 = load_bundle(bundle, device=device)
    audited = _audited(chosen)
    rows = _predictions(stage1, audited.samples, batch_size)
    if predictions is not None:
        with replaced_file(predictions) as path:
            rows.save(path)
    if stage1.policy.no_exit_reason is not None:
        note(f"the bundle lets nothing exit: {stage1.policy.no_exit_reason}")
    note_independence(rows)
    known = SplitSummary.from_json_file(bundle / stage1.manifest.evidence.splits)
    for remark in _recognised(audited.samples, known):
        note(remark)
    note(
        "these numbers describe these pictures; where the model was trained, selected or certified on some of them, "
        "they flatter. A bundle knows its pictures only by digests of whole sources and splits"
    )
    drawn = BootstrapConfig(resamples=resamples, level=level, method=method.value, seed=seed)
    evaluation = measured_by(stage1.policy, rows, confidence, drawn).evaluation
    deliver(evaluation, output=output, as_json=as_json)


def _audited(config: DataConfig) -> Audit:
    """The rows that may be counted; broken pictures are named. Raises `DataError` where the audit refuses."""
    from stage1_cli._evaluation import note
    from stage1_cli._progress import progress_bar
    from stage1_core.data.audit import audit
    from stage1_core.data.inspection import inspect_images
    from stage1_core.data.reading import read_sources
    from tasks._workspace import inspection_folder

    rows, remarks = read_sources(config.sources)
    rows["role"] = "pool"  # nothing is trained here, so nothing can leak into it
    with progress_bar("opening pictures") as on_progress:
        inspection = inspect_images(rows, cache_folder=inspection_folder(), on_progress=on_progress)
    audited = audit(inspection.samples, inspection.bad, config.audit)
    for remark in (*remarks, *audited.report.warnings):
        note(remark)
    for picture in audited.report.bad.first:
        note(f"broken: {picture.id}: {picture.reason}")
    return audited


def _predictions(stage1: Stage1, samples: pd.DataFrame, batch_size: int) -> Predictions:
    """Scores of the labelled rows."""
    import numpy as np

    from stage1_cli._progress import progress_bar
    from stage1_core.bundle.inference import full_precision
    from stage1_core.data.columns import UNLABELED
    from stage1_core.data.loading import PicturesDataset, batches, picture_loader
    from stage1_core.errors import DataError
    from stage1_core.model.classifier import predict
    from stage1_core.predictions import Predictions
    from stage1_core.splits import Purpose

    rows = samples[samples["label"] != UNLABELED].reset_index(drop=True)
    if rows.empty:
        raise DataError(f"none of {len(samples)} pictures has a label; an evaluation needs labelled ones")
    ids = rows["id"].to_numpy(dtype=np.str_)
    loader = picture_loader(PicturesDataset(rows, stage1.transform), batch_size=batch_size, shuffle=False, seed=0)
    with progress_bar("deciding") as on_progress, full_precision(stage1.device):
        scores = predict(stage1.classifier, _named(batches(loader), ids, on_progress), device=stage1.device)
    return Predictions(
        Purpose.FINAL_EVALUATION,
        scores,
        rows["label"].to_numpy(dtype=np.int64),
        rows["group"].to_numpy(dtype=np.str_),
        rows["source"].to_numpy(dtype=np.str_),
    )


def _named(
    loaded: Iterator[Batch], ids: Text, on_progress: Callable[[int, int], None]
) -> Iterator[tuple[Text, torch.Tensor]]:
    """Ids and pixels of each batch, in their order."""
    done = 0
    for pixels, rows in loaded:
        yield ids[rows.numpy()], pixels
        done += len(rows)
        on_progress(done, len(ids))


def _recognised(samples: pd.DataFrame, known: SplitSummary) -> Iterator[str]:
    """What the bundle knows of these rows: sources it was made from, and splits that are exactly these rows."""
    from stage1_core.data.columns import UNLABELED
    from stage1_core.data.table_digest import table_digest

    identity = ("id", "sha256", "label")
    labelled = samples[samples["label"] != UNLABELED]
    whole = table_digest(labelled, identity)
    for purpose, digest in known.rows_digests.items():
        if digest == whole:
            yield f"these are exactly the rows that the bundle was made with for {purpose.value}"
    for source, digest in known.source_digests.items():
        # Unlabelled rows are in the bundle's digest as far as they were trained on.
        if any(table_digest(rows[rows["source"] == source], identity) == digest for rows in (samples, labelled)):
            cells = [cell for cell in known.cells if cell.source == source]
            splits = dict.fromkeys(cell.split for cell in cells)
            counts = {
                split.value: sum(cell.negatives + cell.positives for cell in cells if cell.split is split)
                for split in splits
            }
            shown = ", ".join(f"{split} {count:,}" for split, count in counts.items())
            yield f"the bundle was made from source {source!r}, these very pictures ({shown}): the numbers flatter it"

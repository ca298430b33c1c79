"""`stage1 metrics`: every number of a file of predictions, whoever made them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stage1_cli._evaluation import AsJson, Confidence, Interval, Level, Method, Output, Resamples, Seed


def metrics(
    predictions: Annotated[Path, typer.Argument(help="Labels and scores: .npz, .csv or .parquet.")],
    exit_threshold: Annotated[
        float,
        typer.Option(min=0.5, max=1, help="Probability of the likelier class from which a row exits; at 0.5 all do."),
    ] = 0.5,
    confidence: Confidence = 0.9,
    resamples: Resamples = 1000,
    level: Level = 0.95,
    method: Interval = Method.BCA,
    seed: Seed = 0,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Measure a file of predictions: accuracy, calibration, ranking, and exits at a threshold.

    Columns: label (0 or 1); logit_0 and logit_1, or logit, or probability (of class 1); optional id, group, source,
    gate_logit. Rows of one group are not independent: they are resampled together, and exact bounds count one row for
    each group and class.
    """
    from stage1_cli._evaluation import deliver, note_independence, require_place
    from stage1_core.data.predictions_table import read_predictions
    from stage1_core.metrics.bootstrap import BootstrapConfig
    from stage1_core.policy.evaluation import evaluate
    from stage1_core.policy.softmax import ThresholdExit

    require_place(output)
    rows = read_predictions(predictions)
    note_independence(rows)
    drawn = BootstrapConfig(resamples=resamples, level=level, method=method.value, seed=seed)
    measured = evaluate(ThresholdExit(exit_threshold=exit_threshold), rows, confidence, drawn)
    deliver(measured.evaluation, output=output, as_json=as_json)

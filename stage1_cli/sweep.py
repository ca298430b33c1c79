"""`stage1 sweep`: the same training under several seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stage1_core.training.sweep import SeedResult, Spread

MOST_SEEDS = 10_000


def sweep(
    config: Annotated[Path, typer.Option(help="YAML or JSON configuration of a baseline.")],
    seeds: Annotated[str, typer.Option(help="Numbers and ranges: 0-9, or 0,3,10-12.")] = "0-9",
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON instead of a table.")] = False,
) -> None:
    """Train the head under several seeds, and show how much its numbers spread.

    On selection rows alone, which also choose the epoch: good for comparing settings, too good as a promise.
    Calibration and test rows are not read. Nothing is released or kept. STAGE1_COMPUTE says where seeds are trained.
    """
    chosen = parse_seeds(seeds)

    import numpy as np
    import pandas as pd

    from stage1_cli._configuration import read_config
    from stage1_cli._environment import prepare_environment
    from stage1_cli._progress import progress_bar
    from stage1_cli._steps import features_of, prepared_ledger
    from stage1_core.compute.choice import chosen_compute
    from stage1_core.phases.baseline import BaselineConfig
    from stage1_core.splits import Purpose
    from stage1_core.training.rows import FeatureRows
    from stage1_core.training.sweep import sweep as sweep_seeds

    compute = chosen_compute()
    prepare_environment()
    baseline = read_config(BaselineConfig, config)
    ledger = prepared_ledger(baseline)
    fit, select = (ledger.rows(purpose) for purpose in (Purpose.FIT_WEIGHTS, Purpose.SELECT_MODEL))
    features = features_of(pd.concat([fit, select]), baseline)
    with progress_bar("training") as on_progress:
        results = sweep_seeds(
            baseline.head,
            baseline.training,
            FeatureRows.read(features, ledger, Purpose.FIT_WEIGHTS),
            fit["group"].to_numpy(dtype=np.str_),
            FeatureRows.read(features, ledger, Purpose.SELECT_MODEL),
            seeds=chosen,
            compute=compute,
            on_progress=on_progress,
        )
    _show(results, baseline.digest(), as_json=as_json)


def parse_seeds(text: str) -> tuple[int, ...]:
    """``"0-2,7"`` is 0, 1, 2, 7. Raises `Stage1Error` for anything else and for repeated seeds."""
    from stage1_core.errors import Stage1Error

    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise Stage1Error(f"--seeds {text!r} is not understood at {part!r}; write 0-9, or 0,3,10-12")
        if int(last or first) >= MOST_SEEDS:
            raise Stage1Error(f"--seeds {text!r} goes beyond {MOST_SEEDS - 1}; write smaller ones, such as 0-9")
        seeds += range(int(first), int(last or first) + 1)
    if not seeds or len(set(seeds)) < len(seeds):
        raise Stage1Error(f"--seeds {text!r} names no seed, or one twice; write 0-9, or 0,3,10-12")
    return tuple(seeds)


def _show(results: tuple[SeedResult, ...], config_digest: str, *, as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from stage1_core.digests import canonical_json
    from stage1_core.training.sweep import Spread

    accuracy = Spread.of([result.metrics.accuracy for result in results])
    augrc = Spread.of([result.metrics.augrc for result in results])
    if as_json:
        content = {
            "config_digest": config_digest,
            "seeds": [result.model_dump(mode="json") for result in results],
            "accuracy": accuracy.model_dump(mode="json"),
            "augrc": augrc.model_dump(mode="json"),
        }
        typer.echo(canonical_json(content, indent=2).decode())
        return
    rows = results[0].metrics.rows
    table = Table(title=f"{len(results)} seeds, selection rows (n = {rows})", title_justify="left")
    for name in ("seed", "epoch", "accuracy", "AUGRC", "head"):
        table.add_column(name, justify="left" if name == "head" else "right")
    for result in results:
        metrics = result.metrics
        table.add_row(
            str(result.seed),
            f"{result.epoch} of {result.epochs}",
            f"{metrics.accuracy:.4f}",
            f"{metrics.augrc:.4f}",
            result.head_digest[:12],
        )
    Console().print(table)
    typer.echo(f"accuracy {_said(accuracy)}, AUGRC {_said(augrc)}")


def _said(spread: Spread) -> str:
    deviation = "" if spread.standard_deviation is None else f" ± {spread.standard_deviation:.4f}"
    return f"{spread.mean:.4f}{deviation} (n = {spread.n} seeds)"

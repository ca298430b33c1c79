"""`stage1 demo` and `stage1 run`: the flows, from the command line."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class PhaseName(StrEnum):
    """What `stage1 run` can run."""

    BASELINE = "baseline"
    SELECTIVE_EVALUATION = "selective_evaluation"
    GATE = "gate"
    DOMAIN_ADAPTATION = "domain_adaptation"
    SHARPNESS = "sharpness"
    CONFORMAL = "conformal"
    LADDER = "ladder"


def demo(
    pictures: Annotated[int, typer.Option(min=24, help="Number of pictures to render.")] = 4200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the scenes.")] = 0,
) -> None:
    """Render road scenes, train on them, certify, release and register a first bundle.

    Needs no account, server or hub. What exists already is not made again. Everything lies in ./artifacts, or where
    STAGE1_ARTIFACTS says.
    """
    from stage1_cli._environment import prepare_environment
    from stage1_cli._progress import progress_bar

    workspace = prepare_environment()
    from deployments.recipes import demo as demo_recipe
    from deployments.recipes import demo_scenes
    from stage1_core.data.road_scenes.generate import render_scenes

    scenes = demo_scenes(pictures=pictures, seed=seed)
    folder = workspace / "scenes" / scenes.digest()[:12]
    with progress_bar("rendering road scenes") as on_progress:
        rendered = render_scenes(scenes, folder, on_progress=on_progress)
    typer.echo(f"{rendered.pictures} pictures in {rendered.folder}, {rendered.rendered_now} of them rendered now")

    from flows.baseline import baseline
    from stage1_cli._summary import run_and_summarise

    run_and_summarise(baseline, demo_recipe(folder))


def run(
    phase: Annotated[PhaseName, typer.Argument(help="Which phase, or the whole ladder.")],
    config: Annotated[Path | None, typer.Option(help="YAML or JSON file with the configuration of the phase.")] = None,
    recipe: Annotated[str | None, typer.Option(help="A shipped configuration instead of a file.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the complete configuration as YAML, and stop.")] = False,
) -> None:
    """Run a phase, or the whole ladder, in this process.

    A phase first runs those that it stands on, and finds what they have released. The run is recorded on the Prefect
    server that PREFECT_API_URL names, else on one that lives as long as the run. The same command again does nothing
    that is done already; after a kill it continues. Exit code 3 says that a phase was not accepted. A challenger
    that is not adopted is no failure: the release that it had to beat stands.
    """
    from stage1_cli._environment import prepare_environment

    prepare_environment()
    from deployments.catalogue import PHASES
    from stage1_cli._configuration import load_config, to_yaml

    entry = PHASES[phase.value]
    value = load_config(entry.config, config, recipe, entry.recipes)
    if show:
        typer.echo(to_yaml(value))
        return
    from stage1_cli._summary import run_and_summarise

    run_and_summarise(entry.load_flow(), value)

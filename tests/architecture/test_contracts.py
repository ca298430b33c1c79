"""The import contracts of pyproject.toml, and what an import really loads."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import stage1_core

ROOT = Path(__file__).parents[2]
MODULES = sorted(module.name for module in pkgutil.walk_packages(stage1_core.__path__, "stage1_core."))
PACKAGES = sorted(path.parent for path in (ROOT / "stage1_core").rglob("__init__.py"))


def loaded_by(*modules: str) -> set[str]:
    """Top-level packages in memory after a fresh interpreter has imported ``modules``."""
    code = f"import sys; import {', '.join(modules)}; print(*{{name.split('.')[0] for name in sys.modules}})"
    made = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(made.stdout.split())


def test_every_import_contract_is_kept():
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    assert " 0 broken" in made.stdout


def test_package_fronts_are_light():
    names = {".".join(path.relative_to(ROOT).parts) for path in PACKAGES}
    readers = {"stage1_core.data.sources"}  # its union names the readers, and these make pandas tables
    assert names > readers
    assert not {"torch", "timm", "transformers", "prefect", "mlflow"} & loaded_by(*names)
    assert "pandas" not in loaded_by(*names - readers)


def test_metrics_calibrators_and_policies_run_without_torch():
    drawers = ("stage1_core.metrics", "stage1_core.calibration", "stage1_core.policy")
    names = [name for name in MODULES if name.startswith(drawers)]
    assert len(names) > 10
    assert not {"torch", "prefect", "mlflow"} & loaded_by(*names)


@pytest.mark.slow  # it loads every heavy library once
def test_no_module_of_the_core_loads_the_orchestrator_or_the_tracker():
    assert not {"prefect", "mlflow"} & loaded_by(*MODULES)

"""One real Prefect server and one real MLflow server for the tests of this folder; each test process has its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.servers import mlflow_server, prefect_server, started


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def prefect_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a running Prefect API."""
    server = prefect_server(tmp_path_factory.mktemp("prefect-server"))
    with started(server):
        yield server.url


@pytest.fixture(scope="session")
def mlflow_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the MLflow server keeps its database, and its files below ``files``."""
    return tmp_path_factory.mktemp("mlflow-server")


@pytest.fixture(scope="session")
def mlflow_url(mlflow_folder: Path) -> Iterator[str]:
    """Address of a running MLflow server."""
    server = mlflow_server(mlflow_folder)
    with started(server):
        yield server.url


@pytest.fixture
def on_the_server(prefect_url: str, mlflow_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process talks to the real servers as well."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_url)
    monkeypatch.setenv("PREFECT_API_URL", prefect_url)
    with temporary_settings(updates={PREFECT_API_URL: prefect_url}):
        yield

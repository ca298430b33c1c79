"""The champion behind MLflow's own scoring server. Takes about 40 seconds on two idle cores, with one release."""

from __future__ import annotations

import base64
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from stage1_core.bundle.runtime import Stage1, load_bundle
from tests.live.releases import release_toys, workplace
from tests.live.servers import Running, free_port, started

MODEL = "served"


@pytest.fixture(scope="module")
def environment(
    tmp_path_factory: pytest.TempPathFactory, prefect_url: str, mlflow_url: str
) -> Iterator[dict[str, str]]:
    with workplace(tmp_path_factory.mktemp("serving") / "workspace", prefect_url, mlflow_url) as variables:
        yield variables


@pytest.fixture(scope="module")
def pictures(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pictures that the champion was released on."""
    folder = tmp_path_factory.mktemp("toys") / "pictures"
    release_toys(folder, MODEL, seeds=1)
    MlflowClient().set_registered_model_alias(MODEL, "champion", "1")
    return sorted((folder / "images").iterdir())[:8]


@pytest.fixture(scope="module")
def bundle(pictures: list[Path], environment: dict[str, str]) -> Stage1:
    (folder,) = Path(environment["STAGE1_ARTIFACTS"]).glob("runs/*/bundle")
    return load_bundle(folder)


@pytest.fixture(scope="module")
def server(
    pictures: list[Path], environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Address of `mlflow models serve` with the champion."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{MODEL}@champion"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"  # it starts `uvicorn` by that name
    log = tmp_path_factory.mktemp("serving") / "serving.log"
    serving = Running(command, environment | {"PATH": path}, log, url, f"{url}/health")
    with started(serving):
        yield url


def ask(server: str, *pictures: bytes) -> Any:
    rows = [[base64.b64encode(picture).decode()] for picture in pictures]
    body = json.dumps({"dataframe_split": {"columns": ["image"], "data": rows}}).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{server}/invocations", body, headers), timeout=60) as answer:
        return json.load(answer)["predictions"]


def test_the_service_answers_what_the_bundle_decides(server: str, bundle: Stage1, pictures: list[Path]):
    contents = [path.read_bytes() for path in pictures]
    expected = [
        {
            "exited": one.exited,
            "label": -1 if one.label is None else one.label,
            "probability": pytest.approx(one.probability, abs=1e-6),
            "stage_b_label": -1,
        }
        for one in bundle.decide(contents)
    ]
    assert ask(server, *contents) == expected
    assert any(one["exited"] for one in expected)


def test_a_broken_picture_is_a_bad_request_that_names_it(server: str, pictures: list[Path]):
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(server, pictures[0].read_bytes(), b"no picture")
    answer = refused.value.read().decode()
    refused.value.close()
    assert refused.value.code == 400
    assert "picture 1" in answer

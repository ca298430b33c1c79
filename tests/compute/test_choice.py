from __future__ import annotations

import sys

import pytest
from pydantic import TypeAdapter

from stage1_core.compute import HERE, Compute, DaskCompute, DaskLocalCompute, LocalCompute
from stage1_core.compute.choice import VARIABLE, chosen_compute, parse_compute
from stage1_core.errors import ComputeError

PLACES = {
    "local": LocalCompute(),
    "dask-local:2": DaskLocalCompute(workers=2),
    "dask://127.0.0.1:8786": DaskCompute(address="127.0.0.1:8786"),
    "dask://scheduler.internal-1:8786": DaskCompute(address="scheduler.internal-1:8786"),
    "dask://[::1]:8786": DaskCompute(address="[::1]:8786"),
}


@pytest.mark.parametrize(("text", "place"), PLACES.items(), ids=PLACES)
def test_an_operator_names_a_place_in_a_few_letters(text, place):
    assert parse_compute(text) == place
    assert TypeAdapter(Compute).validate_json(place.to_json()) == place


@pytest.mark.parametrize(
    "text", ["", "Local", "local:2", "dask-local", "dask-local:0", "dask-local:two", "dask-local:1.5", "dask://host",
             "dask://:8786", "dask:", "ray://host:1", "dask://host:8786/path", "tcp://host:8786"],
)  # fmt: skip
def test_what_is_no_place_is_refused_with_what_could_be_written(text):
    with pytest.raises(ComputeError, match=r"set it to local, dask-local:N .* or dask://host:port"):
        parse_compute(text)


def test_the_environment_decides_and_its_absence_means_here(monkeypatch):
    monkeypatch.setenv(VARIABLE, "dask-local:3")
    assert chosen_compute() == DaskLocalCompute(workers=3)
    monkeypatch.setenv(VARIABLE, "")
    assert chosen_compute() == HERE
    monkeypatch.delenv(VARIABLE)
    assert chosen_compute() == HERE


def test_here_computes_an_item_when_it_is_asked_for():
    seen: list[int] = []
    results = HERE.map(lambda item: seen.append(item) or item * item, [1, 2, 3])
    assert next(results) == 1
    assert seen == [1]
    assert list(results) == [4, 9]


@pytest.mark.parametrize("place", [DaskLocalCompute(workers=1), DaskCompute(address="127.0.0.1:1")], ids=str)
def test_without_dask_the_error_names_the_extra(place, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ComputeError, match=r"pip install 'stage1-pro\[dask\]'"):
        next(place.map(abs, [1]))

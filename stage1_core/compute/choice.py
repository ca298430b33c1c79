"""Where to compute, as an operator says it: in an environment variable, or in the job variables of a pool."""

from __future__ import annotations

import os

from pydantic import ValidationError

from stage1_core.compute import Compute, DaskCompute, DaskLocalCompute, LocalCompute
from stage1_core.errors import ComputeError

VARIABLE = "STAGE1_COMPUTE"
"""Environment variable: local (the default), dask-local:N or dask://host:port."""


def chosen_compute() -> Compute:
    """What ``STAGE1_COMPUTE`` says. Raises `ComputeError` where that is no place."""
    return parse_compute(os.environ.get(VARIABLE) or "local")


def parse_compute(text: str) -> Compute:
    """``local``, ``dask-local:N`` (N worker processes) or ``dask://host:port``. Raises `ComputeError` for others."""
    kind, _, rest = text.partition(":")
    try:
        if text == "local":
            return LocalCompute()
        if kind == "dask-local":
            return DaskLocalCompute.model_validate_strings({"workers": rest})
        if kind == "dask":
            return DaskCompute(address=rest.removeprefix("//"))
    except ValidationError as error:
        raise ComputeError(f"{_complaint(text)} ({error.errors()[0]['msg']})") from error
    raise ComputeError(_complaint(text))


def _complaint(text: str) -> str:
    return f"{VARIABLE} is {text!r}; set it to local, dask-local:N for N processes here, or dask://host:port"

"""Where embarrassingly parallel work runs. It says where, never what: no result depends on it, and no cache key."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stage1_core.compute.dask_clusters import DaskCompute, DaskLocalCompute
from stage1_core.compute.local import HERE, LocalCompute

Compute = Annotated[LocalCompute | DaskLocalCompute | DaskCompute, Field(discriminator="kind")]
"""Every place; `kind` tells them apart. All have one method, `map`."""

__all__ = ["HERE", "Compute", "DaskCompute", "DaskLocalCompute", "LocalCompute"]

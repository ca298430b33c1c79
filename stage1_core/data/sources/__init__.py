"""Data sources. A new one is one module here and its name in the union below."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stage1_core.data.sources.csv import CsvSource
from stage1_core.data.sources.gtsrb import GtsrbSource
from stage1_core.data.sources.image_folder import ImageFolderSource
from stage1_core.data.sources.kaggle import KaggleSource
from stage1_core.data.sources.natix_csv import NatixCsvSource
from stage1_core.data.sources.natix_parquet import NatixParquetSource
from stage1_core.data.sources.open_images import OpenImagesSource
from stage1_core.data.sources.road_scenes import RoadScenesSource
from stage1_core.data.sources.roadwork import RoadworkSource
from stage1_core.data.sources.roboflow import RoboflowSource
from stage1_core.data.sources.synthetic import SyntheticSource
from stage1_core.data.sources.unlabeled import UnlabeledSource

SourceConfig = Annotated[
    RoadScenesSource
    | NatixCsvSource
    | CsvSource
    | UnlabeledSource
    | ImageFolderSource
    | GtsrbSource
    | KaggleSource
    | NatixParquetSource
    | OpenImagesSource
    | RoadworkSource
    | RoboflowSource
    | SyntheticSource,
    Field(discriminator="kind"),
]
"""Every kind of source; `kind` tells them apart. One whose fields another has as well stands before it: a page that
makes a form of the schema opens what was given as the first alternative that knows most of its fields."""

__all__ = [
    "CsvSource",
    "GtsrbSource",
    "ImageFolderSource",
    "KaggleSource",
    "NatixCsvSource",
    "NatixParquetSource",
    "OpenImagesSource",
    "RoadScenesSource",
    "RoadworkSource",
    "RoboflowSource",
    "SourceConfig",
    "SyntheticSource",
    "UnlabeledSource",
]

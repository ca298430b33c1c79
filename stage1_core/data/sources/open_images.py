"""Open Images: image-level label CSVs, of which only what people verified counts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from pydantic import Field, model_validator

from stage1_core.data.sources.folder_listing import list_files
from stage1_core.data.sources.label_file import first_record
from stage1_core.data.sources.source import Listing, Source, count, existing_file, existing_folder
from stage1_core.errors import DataError

LabelName = Annotated[str, Field(pattern=r"^/[mgt]/[A-Za-z0-9_]+$")]
"""A class's machine id, such as "/m/0h8mhzd"."""

VERIFIED = ("verification", "crowdsource-verification")
"""Values of the column Source for labels that people confirmed (Confidence 1) or denied (0)."""

_SCHEMA = pa.schema(
    {"ImageID": pa.string(), "Source": pa.string(), "LabelName": pa.string(), "Confidence": pa.float64()}
)


class OpenImagesSource(Source):
    """Pictures with verified labels. Quarantined: no class means roadwork by itself, so both lists must be given.

    1: a positive class is verified present. 0: none is and no machine suspects one, and either a negative class is
    verified present or all positive classes are verified absent. All other pictures are left out and counted.
    """

    kind: Literal["open_images"] = "open_images"
    label_files: Annotated[tuple[str, ...], Field(min_length=1)]
    """CSVs with the columns ImageID, Source, LabelName, Confidence, relative to the root or absolute."""
    positive: Annotated[tuple[LabelName, ...], Field(min_length=1)]
    """Machine ids of classes that are certain evidence of the positive class. "Person" or "Barrel" are not."""
    negative: Annotated[tuple[LabelName, ...], Field(min_length=1)]
    """Machine ids of classes whose pictures are sampled as negatives."""
    image_folder: str = "train/data"
    """The pictures ``<ImageID>.jpg``, relative to the root or absolute. Labels of other pictures are passed over."""

    @model_validator(mode="after")
    def _no_class_on_both_sides(self) -> Self:
        both = sorted(set(self.positive) & set(self.negative))
        if both:
            raise ValueError(f"class {both[0]!r} is listed as positive and as negative; keep one")
        return self

    def listing(self) -> Listing:
        """One row for each decided picture, sorted by path. Raises `MissingSourceError` or `DataError`."""
        pictures = list_files(self._images())
        ids = [_image_id(name) for name in pictures]
        votes = pd.concat([self._votes(file, ids) for file in self._label_files()], ignore_index=True)
        label = self._labels(votes)
        kept = [(name, label[image_id]) for name, image_id in zip(pictures, ids, strict=True) if image_id in label]
        remarks = []
        if len(kept) < len(pictures):
            left = count(len(pictures) - len(kept), "picture")
            remarks.append(f"{left} of {len(pictures)} without a verified label that decides, left out")
        return Listing(self.rows(self._paths([name for name, _ in kept]), [label for _, label in kept]), tuple(remarks))

    def files(self) -> list[Path]:
        """The label CSVs."""
        return [self.folder() / file for file in self.label_files]

    def pictures(self) -> pd.Series:
        """All pictures of the folder."""
        return self._paths(list_files(self._images()))

    def _images(self) -> Path:
        return existing_folder(self.folder() / self.image_folder, self.name)

    def _paths(self, names: Sequence[str]) -> pd.Series:
        return f"{self._images()}/" + pd.Series(names, dtype="str")

    def _label_files(self) -> list[Path]:
        return [existing_file(file, self.name) for file in self.files()]

    def _votes(self, file: Path, ids: Sequence[str]) -> pd.DataFrame:
        """The lines of our classes and pictures; the file, which may have 10^8 lines, is read block by block."""
        header = first_record(file)
        missing = [name for name in _SCHEMA.names if name not in header.fields]
        if missing:
            raise DataError(f"{file} has no column {', '.join(missing)}; give Open Images image-level label files")
        classes = pa.array([*self.positive, *self.negative])
        kept = []
        try:
            options = pa_csv.ConvertOptions(
                column_types=_SCHEMA, include_columns=_SCHEMA.names, strings_can_be_null=False
            )
            names = pa_csv.ReadOptions(column_names=list(header.fields), skip_rows=header.lines)
            for block in pa_csv.open_csv(file, read_options=names, convert_options=options):
                ours = block.filter(pc.is_in(block.column("LabelName"), value_set=classes))
                kept.append(ours.filter(pc.is_in(ours.column("ImageID"), value_set=pa.array(ids, pa.string()))))
        except pa.ArrowInvalid as error:
            if "Empty CSV file" not in str(error):
                raise DataError(f"{file} is not an Open Images label file: {error}") from error
        votes: pd.DataFrame = pa.Table.from_batches(kept, _SCHEMA).to_pandas()
        return votes

    def _labels(self, votes: pd.DataFrame) -> dict[str, int]:
        """ImageID → label of the pictures that the votes decide."""
        verified = votes["Source"].isin(VERIFIED)
        about_positive = votes["LabelName"].isin(self.positive)
        present = verified & (votes["Confidence"] == 1)
        positive = set(votes["ImageID"][present & about_positive])
        suspected = set(votes["ImageID"][~verified & about_positive & (votes["Confidence"] > 0)])
        negative = set(votes["ImageID"][present & ~about_positive])
        denied = votes[verified & about_positive & (votes["Confidence"] == 0)].groupby("ImageID")["LabelName"].nunique()
        absent = set(denied.index[denied == len(set(self.positive))])
        return dict.fromkeys(((negative | absent) - suspected) - positive, 0) | dict.fromkeys(positive, 1)


def _image_id(name: str) -> str:
    return Path(name).stem

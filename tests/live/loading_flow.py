"""A flow that has worker processes and never ends by itself."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from prefect import flow

from stage1_core.data.loading import PicturesDataset, batches, picture_loader
from stage1_core.data.transforms import ResizeCenterCrop


@flow(name="load_for_ever")
def load_for_ever(images: str) -> None:
    """Reads all pictures of a folder again and again with two processes."""
    paths = [str(path) for path in sorted(Path(images).iterdir())]
    dataset = PicturesDataset(pd.DataFrame({"path": paths}), ResizeCenterCrop(resize_px=36, crop_px=32))
    loader = picture_loader(dataset, batch_size=2, shuffle=False, seed=0, workers=2)
    while True:
        for _ in batches(loader):
            pass

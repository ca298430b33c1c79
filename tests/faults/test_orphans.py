"""A process is killed while its workers work: they end with it, and with them the pipe that says it still runs."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from tests.integration.toys import draw_pictures

ROOT = Path(__file__).parents[2]
SECONDS = 20

PROGRAMS = {
    "reading pictures": """
        from stage1_core.data.loading import PicturesDataset, batches, picture_loader
        dataset = PicturesDataset(rows, ResizeCenterCrop(resize_px=36, crop_px=32))
        loader = picture_loader(dataset, batch_size=2, shuffle=False, seed=0, workers=2)
        for _ in batches(loader):
            started()
    """,
    "training on pictures": """
        import numpy as np
        from stage1_core.data.loading import PicturesDataset
        from stage1_core.splits import Purpose
        from stage1_core.training.picture_rows import PictureRows
        dataset = PicturesDataset(rows, ResizeCenterCrop(resize_px=36, crop_px=32))
        ids, labels = rows["path"].to_numpy(dtype=str), np.zeros(len(rows), dtype=np.int64)
        training = PictureRows(Purpose.FIT_WEIGHTS, ids, labels, dataset, workers=2)
        for _ in training.batches(np.arange(len(rows)).reshape(-1, 2), epoch=0):
            started()
    """,
    "inspecting pictures": """
        from stage1_core.data.inspection import inspect_images
        inspect_images(rows, cache_folder=folder / "cache", processes=2, on_progress=lambda done, _: done and started())
    """,
}
"""Each calls ``started`` when its workers work, which never returns."""

PREAMBLE = """
import sys, time
from pathlib import Path
import pandas as pd
from stage1_core.data.transforms import ResizeCenterCrop
folder = Path(sys.argv[1])
paths = [str(path) for path in sorted((folder / "images").iterdir())]
rows = pd.DataFrame({"id": paths, "path": paths, "source": "toy"})

def started():
    print("started", flush=True)
    time.sleep(600)

if __name__ == "__main__":
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    return draw_pictures(tmp_path_factory.mktemp("pictures"), 300)


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_workers_end_with_a_process_that_is_killed_while(pictures, tmp_path, program):
    script = tmp_path / "program.py"
    script.write_text(PREAMBLE + PROGRAMS[program].replace("\n        ", "\n    "))
    command = [sys.executable, str(script), str(pictures)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        descendants = psutil.Process(process.pid).children(recursive=True)
        assert len(descendants) >= 2
        process.kill()
        give_up = threading.Timer(SECONDS, lambda: [child.kill() for child in descendants])
        give_up.start()
        process.stdout.read()  # until the last process that holds the pipe has ended
        assert give_up.is_alive(), (
            f"still there after {SECONDS} s: {[child for child in descendants if child.is_running()]}"
        )
        give_up.cancel()
    gone, alive = psutil.wait_procs(descendants, timeout=SECONDS)
    assert (len(gone), alive) == (len(descendants), [])

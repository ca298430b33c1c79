"""Forward passes that survive a too large batch."""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor

from stage1_core.data.features import Float32
from stage1_core.model.backbone import Backbone

_LOGGER = logging.getLogger("stage1_core")


class BatchedForward:
    """Runs a backbone on 8-bit pictures, always at the same batch size, so that results do not depend on neighbours.

    When memory runs out, the batch size is halved for good. Threads may share one instance.
    """

    def __init__(self, backbone: Backbone, batch_size: int) -> None:
        self._backbone = backbone
        self.batch_size = batch_size

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return self._backbone.mean.device

    def __call__(self, rgb: Tensor) -> Float32:
        """``(n, hidden)`` features of ``rgb`` ``(n, h, w, 3)`` uint8, n of any size."""
        done: list[Float32] = []
        position = 0
        while position < len(rgb):
            size = self.batch_size
            chunk = rgb[position : position + size]
            try:
                done.append(self._forward(chunk, size))
            except RuntimeError as error:  # torch.OutOfMemoryError is one
                if size == 1 or not _is_out_of_memory(error):
                    raise
                self.batch_size = min(self.batch_size, size // 2)
                _LOGGER.warning("out of memory with %d pictures a batch; going on with %d", size, self.batch_size)
                continue
            position += len(chunk)
        return np.concatenate(done)

    def _forward(self, chunk: Tensor, size: int) -> Float32:
        padding = chunk[-1:].expand(size - len(chunk), *chunk.shape[1:])
        whole = torch.cat([chunk, padding]).to(self._backbone.mean.device)
        with torch.inference_mode():
            # Permuted, not copied: channels stay last in memory, which convolutions like best.
            features = self._backbone(whole.permute(0, 3, 1, 2).float().div_(255))
        values: Float32 = features[: len(chunk)].float().cpu().numpy()
        return values


def _is_out_of_memory(error: RuntimeError) -> bool:
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in text or "can't allocate memory" in text

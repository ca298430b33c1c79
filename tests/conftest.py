"""Settings shared by all tests."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("stage1", deadline=None)  # a loaded machine is not a failing test
settings.load_profile("stage1")


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(20260101)

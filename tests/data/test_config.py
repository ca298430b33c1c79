from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from stage1_core.data.config import DataConfig


def written(**fields: object) -> dict[str, object]:
    source = {"kind": "csv", "name": "street", "root": "/pictures"}
    return {"sources": [source], **fields}


def test_a_source_is_all_that_must_be_given() -> None:
    config = DataConfig.model_validate(written())
    assert config.sources[0].root == Path("/pictures")
    assert (config.split.kind, config.audit.max_bad_fraction, config.audit.near_duplicate_distance) == (
        "cut_pool",
        0.01,
        3,
    )


def test_a_config_survives_json() -> None:
    config = DataConfig.model_validate(
        written(split={"kind": "cut_validation", "seed": 5}, audit={"leaks": "drop_from_train"})
    )
    assert DataConfig.model_validate_json(config.to_json()) == config


def test_no_source_is_refused() -> None:
    with pytest.raises(ValidationError, match="sources"):
        DataConfig(sources=())

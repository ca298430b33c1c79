from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from stage1_core.bundle.schemas import main, schema, sealed_models, stale_schemas, write_schemas

SHIPPED = Path(__file__).parents[2] / "schemas"


def test_the_shipped_schemas_are_those_of_the_models():
    assert stale_schemas(SHIPPED) == []


@pytest.mark.parametrize("name", sealed_models())
def test_every_schema_is_a_valid_schema_that_refuses_unknown_fields(name):
    jsonschema.Draft202012Validator.check_schema(schema(name))
    assert schema(name)["additionalProperties"] is False


def test_every_policy_of_the_union_has_a_schema_named_as_its_file():
    assert {"thresholds", "gateparams", "scrcparams", "noexitparams"} <= set(sealed_models())


@pytest.mark.parametrize("name", ["acceptance", "bundle", "golden", "model_card", "splits", "thresholds"])
def test_a_released_file_keeps_the_shipped_schema(released, name):
    value = json.loads((released / f"{name}.json").read_bytes())
    jsonschema.validate(value, json.loads((SHIPPED / f"{name}.schema.json").read_text()))


def test_missing_changed_and_orphaned_schemas_are_stale_until_written_again(tmp_path):
    write_schemas(tmp_path)
    (tmp_path / "bundle.schema.json").unlink()
    (tmp_path / "golden.schema.json").write_text("{}")
    (tmp_path / "removed.schema.json").write_text("{}")
    assert stale_schemas(tmp_path) == ["bundle.schema.json", "golden.schema.json", "removed.schema.json"]
    assert main([str(tmp_path), "--check"]) == 1
    assert main([str(tmp_path)]) == 0
    assert main([str(tmp_path), "--check"]) == 0

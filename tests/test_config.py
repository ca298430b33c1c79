from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from stage1_core.config import FrozenModel
from stage1_core.errors import Stage1Error
from stage1_core.policy import SoftmaxPolicyConfig
from stage1_core.policy.constraint import RiskConstraint


class Toy(FrozenModel):
    fraction: float
    names: tuple[str, ...] = ()


def test_a_value_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Toy(fraction=0.5).fraction = 0.6


def test_an_unknown_field_is_refused():
    with pytest.raises(ValidationError, match="Extra inputs"):
        Toy.model_validate({"fraction": 0.5, "fractoin": 0.6})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused(value: float):
    with pytest.raises(ValidationError, match="finite"):
        Toy(fraction=value)


def test_equal_values_have_equal_digests_and_other_values_others():
    toy = Toy(fraction=0.5, names=("a", "b"))
    assert toy.digest() == Toy.model_validate({"names": ["a", "b"], "fraction": 0.5}).digest()
    assert toy.digest() != Toy(fraction=0.5, names=("b", "a")).digest()


def test_digests_are_the_same_in_processes_with_other_hash_seeds():
    code = (
        "from stage1_core.policy import SoftmaxPolicyConfig as P; "
        "from stage1_core.policy.constraint import RiskConstraint as R; print(P().digest(), R().digest())"
    )
    root = Path(__file__).parents[1]
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        made = subprocess.run([sys.executable, "-c", code], env=environment, cwd=root, capture_output=True, check=True)
        assert made.stdout.decode().split() == [SoftmaxPolicyConfig().digest(), RiskConstraint().digest()]


def test_json_written_and_read_gives_the_same_value_and_the_same_bytes(tmp_path: Path):
    toy = Toy(fraction=0.1, names=("ä",))
    path = tmp_path / "toy.json"
    path.write_text(toy.to_json())
    assert Toy.from_json_file(path) == toy
    assert Toy.from_json_file(path).to_json() == toy.to_json()
    assert toy.to_json().endswith("}\n")


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(Stage1Error, match=r"toy\.json does not exist; give the path of a Toy JSON file"):
        Toy.from_json_file(tmp_path / "toy.json")


def test_a_wrong_field_is_named_with_its_file(tmp_path: Path):
    path = tmp_path / "toy.json"
    path.write_text('{"fraction": "much"}')
    with pytest.raises(Stage1Error, match=r"toy\.json is not a valid Toy: at fraction: "):
        Toy.from_json_file(path)


def test_a_file_that_is_not_json_is_reported_at_the_top_level(tmp_path: Path):
    path = tmp_path / "toy.json"
    path.write_text("{")
    with pytest.raises(Stage1Error, match="at the top level"):
        Toy.from_json_file(path)

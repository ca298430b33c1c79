"""Which phase a configuration is of, and what is said of a wrong one."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from stage1_core.phases.conformal import ConformalConfig
from stage1_core.phases.domain_adaptation import DomainAdaptationConfig
from stage1_core.phases.gate import GateConfig
from stage1_core.phases.ladder import LadderConfig
from stage1_core.phases.sharpness import SharpnessConfig
from stage1_core.phases.told_apart import OWN_FIELDS, phase_of
from tests.phases.below import smallest

CLASSES = {
    "gate": GateConfig,
    "domain_adaptation": DomainAdaptationConfig,
    "sharpness": SharpnessConfig,
    "conformal": ConformalConfig,
}

each_phase = pytest.mark.parametrize("phase", CLASSES)


def named_only(config: Any) -> dict[str, Any]:
    """What a person must write: the phases below, and the lowest of them whole."""
    below = getattr(config, "previous", None)
    content: dict[str, Any] = {"previous": named_only(below)} if below else config.model_dump(mode="json")
    return content


def complaints(content: object) -> list[tuple[tuple[int | str, ...], str]]:
    with pytest.raises(ValidationError) as caught:
        LadderConfig.model_validate({"top": content})
    return [(error["loc"], error["msg"]) for error in caught.value.errors()]


def test_a_field_that_tells_is_in_the_phase_that_it_names_and_in_no_other():
    found = {name: [phase for phase, config in CLASSES.items() if name in config.model_fields] for name in OWN_FIELDS}
    assert found == {name: [phase] for name, phase in OWN_FIELDS.items()}


@each_phase
def test_a_whole_configuration_is_known_as_a_value_and_as_json(phase, tmp_path):
    config = smallest(phase, tmp_path)
    assert phase_of(config) == phase_of(config.model_dump(mode="json")) == phase
    ladder = LadderConfig(top=config)
    assert LadderConfig.model_validate_json(ladder.to_json()) == ladder


@each_phase
def test_a_file_that_names_little_is_of_the_lowest_phase_that_stands_so_high(phase, tmp_path):
    config = smallest(phase, tmp_path)
    assert LadderConfig.model_validate({"top": named_only(config)}).top == config


def test_a_conformal_phase_on_a_gate_is_known_by_its_risk(tmp_path):
    config = ConformalConfig(previous=smallest("gate", tmp_path))
    content = named_only(config)
    assert phase_of(content) == "domain_adaptation"
    assert phase_of(content | {"risk": config.risk.model_dump(mode="json")}) == "conformal"


@each_phase
def test_a_typo_is_said_of_the_phase_that_is_meant_and_of_no_other(phase, tmp_path):
    content = smallest(phase, tmp_path).model_dump(mode="json") | {"sedes": 3}
    assert complaints(content) == [(("top", phase, "sedes"), "Extra inputs are not permitted")]


def test_a_typo_in_a_phase_below_is_found_in_its_place(tmp_path):
    content = smallest("conformal", tmp_path).model_dump(mode="json")
    content["previous"]["previous"]["shared"]["seeds"] = "many"
    (place, _), *others = complaints(content)
    assert place[:6] == ("top", "conformal", "previous", "sharpness", "previous", "shared")
    assert all(other[:6] == place[:6] for other, _ in others)


@pytest.mark.parametrize("content", [3, None, "gate", ["gate"]])
def test_what_is_no_configuration_is_refused_with_what_to_do(content):
    assert complaints(content) == [
        (
            ("top",),
            "no phase that may stand here looks like this; stage1 run PHASE --recipe demo --show prints one that does",
        )
    ]


def test_a_baseline_is_no_top(tmp_path):
    content = smallest("gate", tmp_path).previous.previous.model_dump(mode="json")
    assert (("top", "gate", "previous"), "Field required") in complaints(content)


def test_a_phase_that_may_not_stand_below_another_is_refused(tmp_path):
    content = smallest("conformal", tmp_path).model_dump(mode="json")
    (complaint,) = complaints(content | {"previous": content})
    assert complaint[0] == ("top", "conformal", "previous")
    assert "no phase that may stand here" in complaint[1]

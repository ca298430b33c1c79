"""The form that Prefect makes of a flow's parameters, and what it refuses."""

from __future__ import annotations

import json
import re

import pytest
from prefect.exceptions import ParameterTypeError
from prefect.utilities.callables import parameter_schema

from deployments.catalogue import PHASES
from deployments.recipes import demo
from flows.baseline import baseline

LARGEST_PARAMETERS = 20_000
"""Bytes. Parameters are stored with every run and listed by the page."""


@pytest.fixture(scope="module")
def schema():
    return parameter_schema(baseline).model_dump()


@pytest.fixture(scope="module")
def definitions(schema):
    return schema["definitions"]


def test_a_flow_takes_one_configuration(schema):
    assert schema["required"] == ["config"]
    assert list(schema["properties"]) == ["config"]
    assert "Everything that determines the release" in json.dumps(schema["properties"]["config"])


@pytest.mark.parametrize(
    ("model", "field", "kinds"),
    [
        ("BaselineConfig", "backbone", {"transformers", "timm"}),
        ("TimmBackboneConfig", "weights", {"pretrained", "file", "package", "random"}),
        ("BaselineConfig", "transform", {"resize_center_crop", "letterbox", "processor"}),
        ("DataConfig", "split", {"cut_validation", "cut_pool"}),
        ("SoftmaxPolicyConfig", "grid", {"fixed", "quantile"}),
        ("TrainingConfig", "average", {"warmup", "constant", "none"}),
    ],
)
def test_alternatives_are_told_apart_by_their_kind(definitions, model, field, kinds):
    union = definitions[model]["properties"][field]
    assert union["discriminator"]["propertyName"] == "kind"
    assert set(union["discriminator"]["mapping"]) >= kinds
    assert len(union["oneOf"]) == len(union["discriminator"]["mapping"])


@pytest.mark.parametrize("name", PHASES)
def test_the_page_opens_every_alternative_without_adding_a_field_of_another(name):
    """Prefect's page takes a value for the first alternative that shares most of its fields, whatever its kind."""
    models = parameter_schema(PHASES[name].load_flow()).model_dump()["definitions"]

    def fields_of(alternative):
        return set(models[alternative["$ref"].rsplit("/")[-1]]["properties"])

    unions = [field for model in models.values() for field in model.get("properties", {}).values()]
    unions += [field["items"] for field in unions if "items" in field]
    alternatives = [[fields_of(one) for one in union["oneOf"]] for union in unions if "oneOf" in union]
    assert alternatives
    for known in alternatives:
        for fields in known:
            assert max(known, key=lambda other: len(other & fields)) == fields  # the first of the largest


def test_fields_are_called_by_their_names_and_alternatives_by_their_kind(definitions):
    assert definitions["BaselineConfig"]["properties"]["training"]["title"] == "Training"
    assert definitions["RiskConstraint"]["properties"]["max_risk"]["title"] == "Max risk"
    assert definitions["NatixCsvSource"]["title"] == "natix_csv"


def test_a_kind_is_no_free_text(definitions):
    kinds = [model["properties"]["kind"] for model in definitions.values() if "kind" in model.get("properties", {})]
    assert kinds
    assert [kind for kind in kinds if kind["enum"] != [kind["const"]]] == []


def test_every_source_is_offered(definitions):
    sources = definitions["DataConfig"]["properties"]["sources"]["items"]["discriminator"]["mapping"]
    assert {"natix_csv", "image_folder", "road_scenes", "unlabeled"} <= set(sources)


def test_bounds_are_part_of_the_form(definitions):
    risk = definitions["RiskConstraint"]["properties"]["max_risk"]
    assert (risk["exclusiveMinimum"], risk["maximum"]) == (0, 0.1)
    epochs = definitions["TrainingConfig"]["properties"]["epochs"]
    assert (epochs["minimum"], epochs["maximum"]) == (1, 100000)


def test_every_field_that_is_a_choice_is_described(definitions):
    undescribed = {
        f"{model}.{name}"
        for model, definition in definitions.items()
        for name, field in definition.get("properties", {}).items()
        if "description" not in field and name != "kind"
    }
    assert undescribed == set()


def test_no_parameter_asks_for_a_secret(definitions):
    names = {name for definition in definitions.values() for name in definition.get("properties", {})}
    assert {name for name in names if re.search(r"password|secret|token$|api_?key|credential", name)} == set()


@pytest.mark.parametrize("name", PHASES)
def test_parameters_of_every_shipped_configuration_are_small(name):
    for recipe in PHASES[name].recipes.values():
        flow = PHASES[name].load_flow()
        sent = flow.serialize_parameters({"config": recipe()})
        assert len(json.dumps(sent)) < LARGEST_PARAMETERS


def test_parameters_survive_the_way_through_the_server():
    config = demo()
    sent = json.loads(json.dumps(baseline.serialize_parameters({"config": config})))
    assert baseline.validate_parameters(sent)["config"] == config


@pytest.mark.parametrize(
    ("where", "value", "complaint"),
    [
        (("constraint", "max_risk"), 0.5, "max_risk"),
        (("training", "epochs"), 0, "epochs"),
        (("backbone", "kind"), "resnet", "backbone"),
        (("data", "sources"), [], "sources"),
        (("surprise",), 1, "surprise"),
    ],
)
def test_a_bad_configuration_is_refused_before_the_run(where, value, complaint):
    content = demo().model_dump(mode="json")
    part = content
    for name in where[:-1]:
        part = part[name]
    part[where[-1]] = value
    with pytest.raises(ParameterTypeError, match=complaint):
        baseline.validate_parameters({"config": content})

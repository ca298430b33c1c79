"""`stage1 run`: a phase from the command line, and what it can be run with."""

from __future__ import annotations

import pytest
import yaml

from deployments.catalogue import PHASES
from stage1_core.bundle.verify import verify_bundle
from stage1_core.policy.constraint import RiskConstraint
from tests.integration.toys import toy_config

RECIPES = [(phase, recipe) for phase, entry in PHASES.items() for recipe in entry.recipes]


@pytest.mark.parametrize(("phase", "recipe"), RECIPES)
def test_every_shipped_recipe_is_a_configuration_that_survives_as_yaml(phase, recipe):
    entry = PHASES[phase]
    value = entry.recipes[recipe]()
    assert isinstance(value, entry.config)
    assert entry.config.model_validate(yaml.safe_load(yaml.safe_dump(value.model_dump(mode="json")))) == value


@pytest.mark.parametrize(("phase", "recipe"), RECIPES)
def test_what_is_shown_is_the_whole_configuration(stage1, tmp_path, phase, recipe):
    code, out, err = stage1("run", phase, "--recipe", recipe, "--show")
    assert (code, err) == (0, "")
    assert PHASES[phase].config.model_validate(yaml.safe_load(out)) == PHASES[phase].recipes[recipe]()
    (tmp_path / "shown.yaml").write_text(out)
    assert stage1("run", phase, "--config", tmp_path / "shown.yaml", "--show").out == out


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (("gating",), 3, "gating: Extra inputs are not permitted (found 3)"),
        (
            ("comparison", "min_coverage_gain"),
            -1,
            "comparison.min_coverage_gain: Input should be greater than or equal",
        ),
        (("training", "objective", "folds"), 1, "folds: Input should be greater than or equal to 2 (found 1)"),
        (("previous",), None, "previous: "),
        (("previous", "previous"), None, "previous.previous: "),
        (("previous", "training", "selection", "metric"), "accuracy", "this phase chooses by augrc"),
        (("policy", "calibrator", "kind"), "magic", "policy.calibrator: "),
    ],
)
def test_a_gate_that_was_edited_wrongly_is_one_line_that_names_the_field(stage1, tmp_path, where, value, said):
    content = yaml.safe_load(stage1("run", "gate", "--recipe", "demo", "--show").out)
    part = content
    for name in where[:-1]:
        part = part[name]
    part[where[-1]] = value
    path = tmp_path / "gate.yaml"
    path.write_text(yaml.safe_dump(content))
    outcomes = [stage1("run", "gate", "--config", path) for _ in range(2)]
    assert outcomes[0] == outcomes[1]
    assert (outcomes[0].code, outcomes[0].out) == (2, "")
    (line,) = outcomes[0].err.strip().splitlines()
    assert line.startswith(f"stage1: {path}: ")
    assert said in line


@pytest.mark.parametrize("content", ["[" * 20_000, "a: [1,"])
def test_a_file_that_is_no_yaml_is_one_line(stage1, tmp_path, content):
    path = tmp_path / "gate.yaml"
    path.write_text(content)
    code, out, err = stage1("run", "gate", "--config", path, "--show")
    assert (code, out) == (2, "")
    assert "cannot be read as YAML" in err
    code, _, err = stage1("run", "gate", "--config", path / "below", "--show")
    assert code == 2
    assert len(err.strip().splitlines()) == 1


def test_every_recipe_says_how_to_run_it_and_what_to_expect():
    for phase, name in RECIPES:
        text = PHASES[phase].recipes[name].__doc__ or ""
        assert "Run" in text, name
        assert "Expect" in text or phase == "ladder", name


def test_every_phase_of_the_catalogue_can_be_run():
    from stage1_cli.run import PhaseName

    assert {phase.value for phase in PhaseName} == set(PHASES)
    assert all(entry.load_flow().name == phase for phase, entry in PHASES.items())


def test_a_release_is_summed_up(stage1, workspace, config_file):
    code, out, err = stage1("run", "baseline", "--config", config_file)
    assert code == 0, err
    assert "Released" in out
    assert "FNR on exited, certified" in out
    assert "toy version 1, alias candidate" in out
    (bundle,) = (workspace / "runs").glob("*/bundle")
    assert verify_bundle(bundle).passed


def test_a_phase_that_is_not_accepted_has_its_own_exit_code(stage1, workspace, drawn, write_config):
    path = write_config(toy_config(drawn, constraint=RiskConstraint(max_risk=0.01)))
    code, out, err = stage1("run", "baseline", "--config", path)
    assert code == 3
    assert "INSUFFICIENT_EVIDENCE" in "".join(out.split())
    assert err.strip().splitlines()[-1] == "baseline: INSUFFICIENT_EVIDENCE; it released nothing"
    assert "Traceback" not in err


def test_an_error_inside_a_flow_is_one_line_at_the_end(stage1, workspace, config, tmp_path, write_config):
    source = config.data.sources[0].model_copy(update={"root": tmp_path / "absent"})
    data = config.data.model_copy(update={"sources": (source,)})
    code, _, err = stage1("run", "baseline", "--config", write_config(config.model_copy(update={"data": data})))
    assert code == 2
    assert "Traceback" not in err
    assert err.strip().splitlines()[-1].startswith("stage1: ")
    assert str(tmp_path / "absent") in err.strip().splitlines()[-1]

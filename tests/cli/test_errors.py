"""What is wrong is one line that says what to do; exit code 2."""

from __future__ import annotations

import pytest
import yaml


def only_line(outcome) -> str:
    assert outcome.code == 2
    assert outcome.out == ""
    (line,) = outcome.err.strip().splitlines()
    assert line.startswith("stage1: ")
    return line


def spoiled(config, tmp_path, *where, value):
    content = config.model_dump(mode="json")
    part = content
    for name in where[:-1]:
        part = part[name]
    part[where[-1]] = value
    path = tmp_path / "spoiled.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize("words", [["run", "baseline"], ["features"], ["train"], ["data", "audit"]], ids=" ".join)
def test_a_missing_configuration(stage1, tmp_path, words):
    line = only_line(stage1(*words, "--config", tmp_path / "absent.yaml"))
    assert f"{tmp_path / 'absent.yaml'} does not exist" in line


@pytest.mark.parametrize("content", [b"a: [1,", b"\xff\xfe\xfa", b"a: b: c"])
def test_a_configuration_that_is_no_yaml(stage1, tmp_path, content):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    assert "cannot be read as YAML" in only_line(stage1("run", "baseline", "--config", path))


@pytest.mark.parametrize("content", ["", "3", "[]", "text"])
def test_yaml_that_is_no_configuration(stage1, tmp_path, content):
    path = tmp_path / "config.yaml"
    path.write_text(content)
    assert str(path) in only_line(stage1("run", "baseline", "--config", path))
    assert str(path) in only_line(stage1("data", "audit", "--config", path))


def test_an_unknown_field_is_named(stage1, config, tmp_path):
    path = spoiled(config, tmp_path, "training", "target_coverage", value=0.8)
    line = only_line(stage1("run", "baseline", "--config", path))
    assert "training.target_coverage" in line


def test_a_value_out_of_bounds_is_named_and_shown(stage1, config, tmp_path):
    path = spoiled(config, tmp_path, "constraint", "max_risk", value=0.25)
    line = only_line(stage1("run", "baseline", "--config", path))
    assert "constraint.max_risk" in line
    assert "0.25" in line


def test_a_recipe_that_does_not_exist(stage1):
    line = only_line(stage1("run", "baseline", "--recipe", "best"))
    assert "'best'" in line
    assert "demo" in line


def test_neither_or_both_of_file_and_recipe(stage1, config_file):
    assert "--config" in only_line(stage1("run", "baseline"))
    assert "--recipe" in only_line(stage1("run", "baseline", "--recipe", "demo", "--config", config_file))


@pytest.mark.parametrize("command", [["data", "audit"], ["features"], ["data", "split"]], ids=" ".join)
def test_a_missing_source_folder(stage1, config, tmp_path, command):
    sources = [config.data.sources[0].model_dump(mode="json") | {"root": str(tmp_path / "absent")}]
    path = spoiled(config, tmp_path, "data", "sources", value=sources)
    to = ["--to", tmp_path / "to"] if command[-1] == "split" else []
    assert str(tmp_path / "absent") in only_line(stage1(*command, "--config", path, *to))


@pytest.mark.parametrize("command", ["predict", "export"])
def test_a_folder_that_is_no_bundle(stage1, drawn, tmp_path, command):
    line = only_line(stage1(command, drawn, tmp_path / "there"))
    assert "bundle.json" in line


@pytest.mark.parametrize("command", ["predict", "export"])
def test_a_tampered_bundle(stage1, tampered, tmp_path, command):
    assert "thresholds.json" in only_line(stage1(command, tampered, tmp_path / "there"))


def test_debug_shows_the_traceback_before_the_line(stage1, tmp_path):
    code, _, err = stage1("--debug", "run", "baseline", "--config", tmp_path / "absent.yaml")
    assert code == 2
    assert "Traceback" in err
    assert err.strip().splitlines()[-1].startswith("stage1: ")

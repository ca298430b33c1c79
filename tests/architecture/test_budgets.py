"""The budgets that keep modules, flows and tasks readable, counted in the source itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ("stage1_core", "tasks", "flows", "deployments", "stage1_cli")
FILES = sorted(path for folder in SOURCE for path in (ROOT / folder).rglob("*.py"))

MODULE_LINES = 400
FLOW_LINES = 40
TASK_STATEMENTS = 10

BRANCHES = (ast.If, ast.IfExp, ast.Try, ast.TryStar, ast.While, ast.Match)
DRAWERS_FOR_ANYTHING = {"utils", "util", "helpers", "helper", "common", "misc"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def decorated(folder: str, decorators: set[str]) -> Iterator[tuple[str, Function]]:
    """The functions of ``folder`` that carry one of ``decorators``, called or bare, dotted or not."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, Function):
                names = {ast.unparse(d.func if isinstance(d, ast.Call) else d) for d in node.decorator_list}
                if {name.split(".")[-1] for name in names} & decorators:
                    yield f"{path.relative_to(ROOT)}:{node.name}", node


def without_docstring(function: Function) -> list[ast.stmt]:
    return function.body[1:] if ast.get_docstring(function) is not None else function.body


def is_optional(node: ast.AST) -> bool:
    return isinstance(node, BRANCHES) or (isinstance(node, ast.For) and bool(node.orelse))


FLOWS = dict(decorated("flows", {"phase", "flow"}))
TASKS = dict(decorated("tasks", {"task", "effect", "gate"}))

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
each_flow = pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS.keys())
each_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())


def test_there_is_something_to_count():
    assert (ROOT / "flows" / "baseline.py").exists()
    assert "flows/baseline.py:baseline" in FLOWS
    assert any(name.startswith("tasks/policy.py:") for name in TASKS)
    assert {path.relative_to(ROOT).parts[0] for path in FILES} >= {"stage1_core", "tasks", "flows", "stage1_cli"}


@each_file
def test_a_module_holds_one_idea(path: Path):
    assert len(path.read_text().splitlines()) <= MODULE_LINES


@each_file
def test_a_file_name_says_what_is_inside(path: Path):
    assert path.stem not in DRAWERS_FOR_ANYTHING
    assert not re.search(r"\d|(^|_)(new|old|final|copy)(_|$)", path.stem), "versions belong to git"


@each_flow
def test_a_flow_is_a_short_straight_line(flow: Function):
    body = without_docstring(flow)
    assert (body[-1].end_lineno or 0) - body[0].lineno + 1 <= FLOW_LINES
    assert [ast.unparse(node) for node in ast.walk(flow) if is_optional(node)] == []


@each_flow
def test_a_flow_has_no_bare_field_as_a_default(flow: Function):
    defaults = [*flow.args.defaults, *(default for default in flow.args.kw_defaults if default is not None)]
    calls = [ast.unparse(default.func) for default in defaults if isinstance(default, ast.Call)]
    assert not [name for name in calls if name.split(".")[-1] == "Field"], "put Field into Annotated"


@each_task
def test_a_task_is_load_one_call_save(task: Function):
    statements = [node for top in without_docstring(task) for node in ast.walk(top) if isinstance(node, ast.stmt)]
    assert len(statements) <= TASK_STATEMENTS


@each_task
def test_a_task_that_fails_raises(task: Function):
    returned = [node.value for node in ast.walk(task) if isinstance(node, ast.Return)]
    calls = [ast.unparse(value.func) for value in returned if isinstance(value, ast.Call)]
    assert not [name for name in calls if name.split(".")[-1] == "Failed"], "a returned Failed is retried and cached"


class TestTheCountersThemselves:
    """Source that breaks a budget, so that a counter that counts nothing would be noticed."""

    @pytest.mark.parametrize(
        "line", ["if a: b()", "try: a()\n    finally: b()", "while a: b()", "a = b if c else d",
                 "for a in b: c()\n    else: d()", "match a:\n        case 1: b()"],
    )  # fmt: skip
    def test_a_branch_is_seen(self, line: str):
        tree = ast.parse(f"def flow():\n    {line}")
        assert any(is_optional(node) for node in ast.walk(tree))

    def test_a_plain_loop_is_no_branch(self):
        assert not any(is_optional(node) for node in ast.walk(ast.parse("for a in b: c()")))

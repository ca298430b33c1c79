"""What the pages say is tried: links, commands, names, and every snippet that can be run."""

from __future__ import annotations

import io
import re
import shutil
import typing
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import typer.main
import yaml
from PIL import Image

from deployments.catalogue import PHASES
from stage1_cli.app import app
from stage1_core.bundle.release import release_bundle
from stage1_core.config import FrozenModel
from stage1_core.data.access_log import AccessLog
from stage1_core.data.prepare import prepare
from stage1_core.data.sources import SourceConfig
from stage1_core.data.sources.source import Source
from stage1_core.metrics.intervals import trials_needed
from stage1_core.phases.baseline import BaselineConfig
from stage1_core.phases.retraining import RetrainConfig
from stage1_core.promotion.config import PromotionRequest, RepairRequest, RollbackRequest
from stage1_core.promotion.watch import MonitorConfig
from stage1_core.splits import READABLE_FOR, Purpose, Split
from tests.bundle.toys import LONG_AGO, toy_contents

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
SETTINGS = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
OPTIONS_OF_CLASSES = re.compile(r"^::: (\S+)\n    options:\n      members: \[(.*)\]$", re.MULTILINE)

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)


def blocks(page: str, language: str) -> list[str]:
    """Fenced snippets of one language, in their order."""
    text = (ROOT / "docs" / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def said_commands(text: str) -> set[tuple[str, ...]]:
    """Words behind each `stage1` of a code span or block, options and what follows them left out."""
    code = [*re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL), *re.findall(r"`([^`\n]+)`", text)]
    lines = [line.strip() for part in code for line in part.splitlines()]
    calls = (re.match(r"stage1 ((?:--debug )?)([a-z]+(?:-[a-z]+)*(?: [a-z_]+)?)", line) for line in lines)
    return {tuple(call[2].split()) for call in calls if call}


def heading_anchors(page: Path) -> set[str]:
    """Anchors as mkdocs makes them from headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def source_text() -> str:
    """Everything of this repository that a page may name."""
    places = ("stage1_core", "stage1_cli", "tasks", "flows", "deployments", "benchmarks")
    sources = [path for place in places for path in (ROOT / place).rglob("*.py")]
    tests = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    return "\n".join([*(path.read_text() for path in sources), (ROOT / "pyproject.toml").read_text(), *tests])


def configuration_classes() -> set[type[FrozenModel]]:
    """Every class that the configuration of a phase, of what follows it, or of a look at the champion can hold."""
    found: set[type[FrozenModel]] = set()

    def walk(annotation: object) -> None:
        if isinstance(annotation, type) and issubclass(annotation, FrozenModel) and annotation not in found:
            found.add(annotation)
            for field in annotation.model_fields.values():
                walk(field.annotation)
        for part in typing.get_args(annotation):
            walk(part)

    phases = (entry.config for entry in PHASES.values())
    for config in (*phases, RetrainConfig, PromotionRequest, RollbackRequest, RepairRequest, MonitorConfig):
        walk(config)
    return found


def draw(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((32, 32), Image.Resampling.BILINEAR).save(path)


def draw_sites(folder: Path, *, first: int, sites: int) -> list[tuple[str, int, int]]:
    """Two frames of each site, in class folders; (relative path, label, site)."""
    listed = []
    for site in range(first, first + sites):
        for frame in (1, 2):
            name = f"{('clear', 'roadwork')[site % 2]}/site{site}_{frame:03}.jpg"
            draw(folder / name, 2 * site + frame)
            listed.append((name, site % 2, site))
    return listed


@pytest.fixture
def own_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that fits every snippet of the page about one's own data; the process works in it."""
    listed = draw_sites(tmp_path / "pictures", first=0, sites=40)
    lines = ["file,has_works,site", *(f"{name},{label},{site}" for name, label, site in listed)]
    (tmp_path / "pictures" / "labels.csv").write_text("\n".join(lines) + "\n")
    draw_sites(tmp_path / "pictures" / "train", first=40, sites=10)
    draw_sites(tmp_path / "pictures" / "val", first=50, sites=40)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def own_configs() -> list[BaselineConfig]:
    """The complete configurations on the page, in their order: class folders, CSV, training and validation apart."""
    contents = [yaml.safe_load(text) for text in blocks("your-own-data.md", "yaml")]
    return [BaselineConfig.model_validate(content) for content in contents if "data" in content]


def test_the_page_promises_ten_lines_and_shows_ten():
    assert len(blocks("your-own-data.md", "yaml")[0].splitlines()) == 10
    assert [config.data.sources[0].kind for config in own_configs()] == ["image_folder", "csv", "image_folder"]


def test_class_folders_are_split_as_the_page_says(own_pictures):
    shutil.rmtree(own_pictures / "pictures" / "train")
    shutil.rmtree(own_pictures / "pictures" / "val")
    rows = prepare(own_configs()[0].data, inspections=own_pictures / "inspections").ledger.samples
    assert len(rows) == 80
    assert set(rows["split"]) == {split.value for split in Split}
    assert (rows.groupby("group")["split"].nunique() == 1).all()
    assert rows.loc[rows["path"].str.endswith("/roadwork/site7_001.jpg"), ["label", "group"]].to_numpy().tolist() == [
        [1, "streets/site7"]
    ]


def test_a_csv_is_split_as_the_page_says(own_pictures):
    rows = prepare(own_configs()[1].data, inspections=own_pictures / "inspections").ledger.samples
    assert rows["group"].nunique() == 40
    assert rows["label"].sum() == 40


def test_given_training_rows_only_train(own_pictures):
    rows = prepare(own_configs()[2].data, inspections=own_pictures / "inspections").ledger.samples
    assert set(rows.loc[rows["source"] == "train", "split"]) == {"train"}
    assert set(rows.loc[rows["source"] == "val", "split"]) == {"val_select", "val_calib", "val_test"}


def test_the_shares_for_few_data_are_a_valid_split():
    whole = yaml.safe_load(blocks("your-own-data.md", "yaml")[0])
    (shares,) = (yaml.safe_load(text) for text in blocks("your-own-data.md", "yaml") if text.startswith("split"))
    assert BaselineConfig.model_validate(whole | {"data": whole["data"] | shares}).data.split.calib == 0.42


def test_the_table_of_trials_is_what_its_snippet_prints():
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(blocks("your-own-data.md", "python")[0], {})
    assert printed.getvalue() in (ROOT / "docs" / "your-own-data.md").read_text()
    assert printed.getvalue().startswith("| 0 | 114 | 149 |\n")
    assert 20 / trials_needed(20, 0.02, 0.90) < 0.015


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real bundle, made once: it takes a second."""
    place = tmp_path_factory.mktemp("released")
    release_bundle(toy_contents(place / "run"), place / "bundle", created_at=LONG_AGO)
    return place / "bundle"


def test_the_service_snippets_run_on_a_released_bundle(released, tmp_path, monkeypatch, capsys):
    for name in ("path/to/bundle", "copy/of/bundle"):
        shutil.copytree(released, tmp_path / name)
    Image.open(min((released / "golden").iterdir())).save(tmp_path / "street.jpg")
    monkeypatch.chdir(tmp_path)
    load, change, _ = blocks("bundle.md", "python")
    exec(load, {})
    assert capsys.readouterr().out.strip() != ""
    changed: dict[str, typing.Any] = {}
    exec(change, changed)
    assert changed["stage1"].manifest.resealed


def test_the_files_of_a_bundle_are_those_on_the_page(released):
    text = (ROOT / "docs" / "bundle.md").read_text()
    made = {path.name + ("/" if path.is_dir() else "") for path in released.iterdir()}
    assert {name for name in made if f"`{name}`" not in text} == set()


def test_the_access_log_snippet_counts_looks(tmp_path, monkeypatch, capsys):
    log = AccessLog(tmp_path / "artifacts" / "ledgers" / "abc.jsonl")
    log.record("opened", Purpose.FINAL_EVALUATION, subject="model", rows_digest="rows", reason="a test")
    monkeypatch.chdir(tmp_path)
    exec(blocks("data.md", "python")[0], {})
    assert capsys.readouterr().out == "abc.jsonl 1 0 0.0\n"


def test_the_purposes_on_the_page_are_those_of_the_code():
    text = (ROOT / "docs" / "data.md").read_text()
    for purpose, rows in READABLE_FOR.items():
        (line,) = re.findall(rf"^\| `{purpose}` \| (.*) \|$", text, re.MULTILINE)
        assert rows.split.name in line
        assert (rows.half is not None) == ("half" in line)


def test_every_kind_of_source_is_in_the_table_with_its_own_fields():
    text = (ROOT / "docs" / "data.md").read_text()
    for source in typing.get_args(typing.get_args(SourceConfig)[0]):
        (fields,) = re.findall(rf"^\| `{source.model_fields['kind'].default}` \|[^|]*\|([^|]*)\|", text, re.MULTILINE)
        own = set(source.model_fields) - set(Source.model_fields) - {"kind"}
        assert set(re.findall(r"`(\w+)`", fields)) == own, source


def test_the_reference_has_every_configuration_class_and_every_field():
    text = (ROOT / "docs" / "configuration.md").read_text()
    shown = {name: members.split(", ") for name, members in OPTIONS_OF_CLASSES.findall(text)}
    wanted = {f"{each.__module__}.{each.__qualname__}": each for each in configuration_classes()}
    assert set(wanted) - set(shown) == set()
    for name, each in wanted.items():
        own = [field for field in each.model_fields if field in each.__annotations__]
        assert shown[name] == own, name


@every_page
def test_commands_exist(page: Path):
    command = typer.main.get_command(app)
    known = {(name,) for name in command.commands}
    known |= {(name, inner) for name, group in command.commands.items() for inner in getattr(group, "commands", {})}
    groups = {name for name, *rest in known if rest}
    for words in said_commands(page.read_text()):
        called = words[:2] if words[0] in groups else words[:1]
        assert called in known, f"{page.name} says `stage1 {' '.join(words)}`"
        if words[0] == "run" and len(words) == 2:
            assert words[1] in PHASES


@every_page
def test_options_exist(page: Path):
    command = typer.main.get_command(app)
    groups = [command, *command.commands.values()]
    parts = groups + [inner for group in groups for inner in getattr(group, "commands", {}).values()]
    known = {option for part in parts for parameter in part.params for option in parameter.opts} | {"--help"}
    said = {
        option for line in re.findall(r"stage1 [^`\n]*", page.read_text()) for option in re.findall(r"--\w[\w-]*", line)
    }
    assert said - known == set()


@every_page
def test_links_between_pages_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        name, _, anchor = target.partition("#")
        there = page.with_name(name) if name else page
        assert there in PAGES, target
        assert not anchor or anchor in heading_anchors(there), target


@every_page
def test_names_in_code_spans_exist_in_the_source(page: Path):
    """Names with an underscore: fields, functions, variables of the environment, file names without their suffix."""
    text, source = page.read_text(), source_text()
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    names = {name for span in re.findall(r"`([^`\n]+)`", prose) for name in re.findall(r"\b[A-Za-z]\w*_\w+\b", span)}
    not_ours = {"site7_001", "YYYYMMDD_HHMMSS", "min_items"}
    assert {name for name in names - not_ours if name not in source} == set()


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r"\b([\w-]+\.md)\b", yaml.safe_dump(SETTINGS["nav"])))
    assert listed == {page.name for page in PAGES}


def test_the_pages_are_built_without_warnings_and_need_nothing_from_elsewhere(tmp_path, monkeypatch, caplog):
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    monkeypatch.chdir(ROOT)
    settings = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site"), strict=True)
    build(settings)
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []
    pages = list((tmp_path / "site").glob("*.html"))
    assert len(pages) >= len(PAGES)
    fetched = r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["'](?:https?:)?//|<link\b[^>]*\bhref=["'](?:https?:)?//"""
    for path in pages:
        assert re.findall(fetched, path.read_text()) == [], path.name
    for path in (tmp_path / "site").rglob("*.css"):
        assert re.findall(r"""url\(["']?(?:https?:)?//|@import""", path.read_text()) == [], path.name

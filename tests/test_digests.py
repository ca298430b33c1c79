from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from stage1_core import digests
from stage1_core.digests import (
    canonical_json,
    core_source_digest,
    digest_of_bytes,
    digest_of_file,
    digest_of_pairs,
    digest_of_tree,
    identity_of,
)


def test_canonical_json_does_not_depend_on_the_order_of_keys():
    assert (
        canonical_json({"b": 1, "a": [1, None]}) == canonical_json({"a": [1, None], "b": 1}) == b'{"a":[1,null],"b":1}'
    )


def test_canonical_json_keeps_other_scripts_readable():
    assert canonical_json("Straße") == '"Straße"'.encode()


def test_canonical_json_refuses_nan():
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(float("nan"))


def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert digest_of_file(path) == digest_of_bytes(b"abc") == hashlib.sha256(b"abc").hexdigest()


def test_moving_a_byte_from_name_to_digest_changes_the_digest():
    assert digest_of_pairs([("ab", "c")]) != digest_of_pairs([("a", "bc")])


def make_tree(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_equal_trees_at_different_places_have_equal_digests(tmp_path: Path):
    files = {"a.txt": "1", "sub/b.txt": "2"}
    one = make_tree(tmp_path / "one", files)
    two = make_tree(tmp_path / "two", dict(reversed(files.items())))
    assert digest_of_tree(one) == digest_of_tree(two)


@pytest.mark.parametrize(
    "other",
    [{"a.txt": "1"}, {"a.txt": "2", "sub/b.txt": "1"}, {"a.txt": "1", "b.txt": "2"}],
    ids=["a file less", "contents swapped", "a file moved"],
)
def test_a_changed_tree_has_another_digest(tmp_path: Path, other: dict[str, str]):
    tree = make_tree(tmp_path / "tree", {"a.txt": "1", "sub/b.txt": "2"})
    changed = make_tree(tmp_path / "changed", other)
    assert digest_of_tree(tree) != digest_of_tree(changed)


def test_the_source_digest_is_that_of_the_python_files_of_the_library():
    import stage1_core

    root = Path(stage1_core.__file__).parent
    total = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(root).as_posix()}\0{content}\n".encode())
    core_source_digest.cache_clear()
    assert core_source_digest() == total.hexdigest()


@pytest.mark.parametrize(
    ("part", "other"), [("core_source_digest", lambda: "f" * 64), ("version", lambda name: f"{name} of tomorrow")]
)
def test_other_code_and_other_libraries_are_another_library(monkeypatch: pytest.MonkeyPatch, part: str, other) -> None:
    before = digests.library_digest()
    assert len(before) == 64
    monkeypatch.setattr(digests, part, other)
    assert digests.library_digest.__wrapped__() != before


def test_an_identity_depends_on_every_part_their_order_and_the_library(monkeypatch):
    first = identity_of("baseline", {"epochs": 3})
    assert first == identity_of("baseline", {"epochs": 3})
    assert len({first, identity_of({"epochs": 3}, "baseline"), identity_of("baseline", {"epochs": 4})}) == 3
    monkeypatch.setattr("stage1_core.digests.core_source_digest", lambda: "another library")
    assert identity_of("baseline", {"epochs": 3}) != first

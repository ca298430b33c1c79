from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from stage1_core.acceptance import FactCheck
from stage1_core.bundle import sealing
from stage1_core.bundle.store import ArtifactStore
from stage1_core.digests import digest_of_tree
from stage1_core.errors import BundleError
from stage1_core.splits import Purpose


@pytest.fixture
def store(tmp_path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store")


def build(folder: Path) -> None:
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "b.txt").write_text("b")
    (folder / "a").mkdir()
    (folder / "a" / "c.txt").write_text("c")
    (folder / "a.txt").write_text("a")
    (folder / "deep" / "er" / "d.txt").write_text("d")


def leftovers(store: ArtifactStore) -> list[Path]:
    return list((store.root / ".building").iterdir())


def test_a_stored_folder_is_found_again_with_its_content_and_digest(store):
    ref = store.put("features", build)
    folder = store.open(ref, check_content=True)
    assert (folder / "deep" / "er" / "d.txt").read_text() == "d"
    assert digest_of_tree(folder) == ref.sha256
    assert folder == store.root / "features" / ref.sha256[:20]
    assert leftovers(store) == []


def test_a_model_comes_back_equal(store):
    fact = FactCheck(name="toy", holds=True, evidence="seen")
    assert store.read(store.put_file("acceptance", "fact.json", fact), FactCheck) == fact


def test_equal_content_is_stored_once(store):
    first = store.put("features", build)
    inode = store.open(first).stat().st_ino
    assert store.put("features", build) == first
    assert store.open(first).stat().st_ino == inode


def test_purposes_are_united_with_those_of_all_inputs(store):
    head = store.put_file("head", "w", b"w", purposes=[Purpose.FIT_WEIGHTS])
    scores = store.put_file("predictions", "p", b"p", inputs=[head], purposes=[Purpose.SELECT_MODEL])
    policy = store.put_file("policy", "q", b"q", inputs=[scores], purposes=[Purpose.CERTIFY_POLICY])
    assert policy.purposes == (Purpose.FIT_WEIGHTS, Purpose.SELECT_MODEL, Purpose.CERTIFY_POLICY)
    assert policy.inputs == (scores.sha256,)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "a.txt").unlink(),
        lambda folder: (folder / "a.txt").write_text("x"),
        lambda folder: (folder / "a.txt").write_text("longer"),
        lambda folder: (folder / "extra.txt").write_text(""),
        lambda folder: ((folder / "a.txt").unlink(), (folder / "a.txt").symlink_to(folder / "b.txt")),
        lambda folder: folder.with_name(folder.name + ".json").unlink(),
        lambda folder: folder.with_name(folder.name + ".json").write_text("{}"),
    ],
)
def test_damage_is_noticed_refused_and_mended_by_storing_again(store, damage):
    ref = store.put("features", build)
    damage(store.open(ref))
    assert not store.intact(ref)
    with pytest.raises(BundleError, match="run the step that makes it again"):
        store.open(ref)
    assert store.put("features", build) == ref
    assert store.intact(ref, check_content=True)


def test_damage_that_keeps_size_and_time_is_noticed_when_contents_are_asked_for(store):
    ref = store.put("features", build)
    path = store.open(ref) / "a.txt"
    before = path.stat()
    path.write_text("x")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not store.intact(ref, check_content=True)


def test_a_touched_file_of_the_same_content_is_still_intact(store):
    ref = store.put("features", build)
    (store.open(ref) / "a.txt").touch()
    assert store.intact(ref)


def test_a_folder_without_its_record_is_completed_not_trusted(store):
    ref = store.put("features", build)
    folder = store.open(ref)
    folder.with_name(folder.name + ".json").unlink()
    (folder / "a.txt").write_text("half")
    store.put("features", build)
    assert (store.open(ref) / "a.txt").read_text() == "a"


def test_a_ref_with_an_edited_path_is_refused(store):
    ref = store.put("features", build)
    other = store.put_file("head", "w", b"w")
    assert not store.intact(ref.model_copy(update={"path": other.path}))


def test_nothing_is_stored_when_the_step_raises(store):
    def fails(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        store.put("features", fails)
    assert leftovers(store) == []
    assert not (store.root / "features").exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "wrote no file"),
        (lambda folder: (folder / "link").symlink_to("/etc/hosts"), "symbolic link"),
        (lambda folder: os.mkfifo(folder / "pipe"), "neither a file nor a folder"),
    ],
)
def test_what_cannot_be_sealed_is_refused(store, make, message):
    with pytest.raises(BundleError, match=message):
        store.put("features", make)


def test_a_step_that_writes_many_files_cannot_be_opened_as_one(store):
    with pytest.raises(BundleError, match="holds 4 files"):
        store.open_file(store.put("features", build))


def test_concurrent_writers_of_one_content_all_get_it(store):
    refs = []
    threads = [threading.Thread(target=lambda: refs.append(store.put("features", build))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refs) == 8
    assert len(set(refs)) == 1
    assert store.intact(refs[0], check_content=True)


def old(place: Path) -> None:
    long_ago = time.time() - sealing.ABANDONED_AFTER_SECONDS - 60
    for path in [*place.rglob("*"), place]:
        os.utime(path, (long_ago, long_ago))


def test_what_a_killed_writer_left_is_swept_after_an_hour_and_not_before(store):
    code = (
        "import os, signal, sys; from pathlib import Path; from stage1_core.bundle.store import ArtifactStore\n"
        "def build(folder): (folder / 'half').write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
        "ArtifactStore(Path(sys.argv[1])).put('features', build)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(store.root)], check=False)
    assert killed.returncode == -signal.SIGKILL
    store.put("features", build)
    (left,) = leftovers(store)
    old(left)
    store.put("features", build)
    assert leftovers(store) == []


def test_a_slow_living_writer_is_not_swept(store):
    def slow(folder: Path) -> None:
        build(folder)
        old(folder.parent)
        store.put_file("head", "w", b"w")
        assert (folder / "a.txt").exists()

    assert store.intact(store.put("features", slow))

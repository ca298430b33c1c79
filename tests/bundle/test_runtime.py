from __future__ import annotations

import io
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stage1_core.bundle.runtime import Decision, Stage1, as_decisions, load_bundle
from stage1_core.errors import BundleError, DataError
from stage1_core.predictions import Scores
from tests.bundle.toys import TRANSFORM, fitted_policy


@pytest.fixture(scope="module")
def stage1(released) -> Stage1:
    return load_bundle(released)


def test_decisions_are_those_of_the_policy_on_the_same_logits(stage1, contents, pictures):
    expected = contents.policy.decide(stage1.scores(pictures))
    decisions = stage1.decide(pictures)
    assert [decision.exited for decision in decisions] == expected.exited.tolist()
    assert [-1 if d.label is None else d.label for d in decisions] == expected.label.tolist()
    assert {decision.prediction_set for decision in decisions} == {(0,), (1,), (0, 1)}


def test_probability_is_the_softmax_of_the_logits(stage1, pictures):
    logits = stage1.scores(pictures).logits
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected = shifted[:, 1] / shifted.sum(axis=1)
    assert [decision.probability for decision in stage1.decide(pictures)] == pytest.approx(expected.tolist())


@pytest.mark.parametrize("margin", [-1e308, -800.0, 0.0, 800.0, 1e308])
def test_probability_stays_between_0_and_1_for_any_finite_logits(margin):
    scores = Scores(np.array(["a"]), np.array([[0.0, margin]]))
    (decision,) = as_decisions(scores, fitted_policy())
    assert 0 <= decision.probability <= 1


def test_the_form_of_a_picture_does_not_matter(stage1, pictures):
    path = pictures[0]
    image = Image.open(path)
    forms = [path, str(path), path.read_bytes(), image, np.asarray(image)]
    assert len(set(stage1.decide(forms))) == 1


def test_the_batch_size_does_not_matter_beyond_rounding(stage1, pictures):
    whole, single = stage1.scores(pictures), stage1.scores(pictures, batch_size=1)
    np.testing.assert_allclose(whole.logits, single.logits, atol=1e-4)


def test_no_pictures_give_no_decisions(stage1):
    assert stage1.decide([]) == []


def test_a_bundle_is_called_like_a_function(stage1, pictures):
    assert stage1(pictures[:2]) == stage1.decide(pictures[:2])


def truncated(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()[:-200]))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.with_name("absent.png"), r"absent\.png"),
        (lambda path: path.read_bytes()[:100], "picture 1"),
        (lambda path: b"", "picture 1"),
        (truncated, "picture 1"),
        (lambda path: np.zeros((8, 8), dtype=np.uint8), r"picture 1 is a uint8 array of shape \(8, 8\)"),
        (lambda path: np.zeros((8, 8, 3)), "float64"),
        (lambda path: np.zeros((0, 8, 3), dtype=np.uint8), r"\(0, 8, 3\)"),
    ],
)
def test_a_broken_picture_is_named(stage1, pictures, spoil, message):
    with pytest.raises(DataError, match=message):
        stage1.decide([pictures[0], spoil(pictures[0])])


def test_the_transform_of_the_bundle_is_the_one_that_is_used(stage1, pictures):
    assert stage1.transform == TRANSFORM
    square = Image.fromarray(TRANSFORM.pixels(Image.open(pictures[0])))
    assert stage1.scores([square]).logits.tolist() != stage1.scores([pictures[0]]).logits.tolist()


def test_a_bundle_reached_through_a_link_to_its_folder_loads(released, tmp_path):
    (tmp_path / "current").symlink_to(released)
    load_bundle(tmp_path / "current")


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_named(released, device):
    with pytest.raises(BundleError, match=f"device '{device}'"):
        load_bundle(released, device=device)


def test_without_verification_pointers_and_listing_are_still_checked(bundle):
    (bundle / "extra.json").write_text("{}")
    with pytest.raises(BundleError, match=r"extra\.json"):
        load_bundle(bundle, verify=False, replay=False)


def test_loading_is_said_to_take_this_long(released, capsys):
    start = time.perf_counter()
    stage1 = load_bundle(released)
    seconds = time.perf_counter() - start
    with capsys.disabled():
        sys.stdout.write(f" [bundle of {len(stage1.manifest.files)} files loaded in {seconds:.2f} s] ")
    assert isinstance(stage1, Stage1)


@pytest.mark.parametrize("bundle_name", ["released", "scrc_released"])
def test_production_imports_no_orchestrator_tracker_or_training_code(bundle_name, pictures, request):
    folder = request.getfixturevalue(bundle_name)
    code = (
        "import sys; from stage1_core.bundle.runtime import load_bundle\n"
        "decision, = load_bundle(sys.argv[1]).decide([sys.argv[2]])\n"
        "loaded = {name.split('.')[0] for name in sys.modules} | set(sys.modules)\n"
        "unwanted = {'prefect', 'mlflow', 'pandas', 'sklearn', 'matplotlib', 'stage1_core.training', 'pyarrow'}\n"
        "print(decision.exited, sorted(unwanted & loaded))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(pictures[0])], capture_output=True, text=True, check=True
    )
    assert done.stdout.split(" ", 1)[1].strip() == "[]"


def test_a_decision_can_be_compared_and_kept():
    decision = Decision(label=1, exited=True, probability=0.9, prediction_set=(1,))
    assert decision == Decision(label=1, exited=True, probability=0.9, prediction_set=(1,))
    assert len({decision, decision}) == 1

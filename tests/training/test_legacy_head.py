from __future__ import annotations

import pytest
import torch

from stage1_core.errors import CheckpointError
from stage1_core.training.legacy_head import import_legacy_head


def historical_head():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(10, 7), torch.nn.ReLU(), torch.nn.Dropout(0.3), torch.nn.Linear(7, 2)
    ).eval()


def compiled_names(state):
    return {f"_orig_mod.{name}": value for name, value in state.items()}


@pytest.mark.parametrize("compiled", [True, False])
def test_an_old_head_gives_the_logits_it_gave(tmp_path, compiled):
    old = historical_head()
    state = compiled_names(old.state_dict()) if compiled else old.state_dict()
    torch.save(state, tmp_path / "classifier_head.pth")
    head = import_legacy_head(tmp_path / "classifier_head.pth", dropout=0.45).eval()
    features = torch.rand(5, 10)
    assert torch.equal(head(features).class_logits, old(features))
    assert (head.config.hidden, head.config.dropout) == (7, 0.45)


def test_of_an_old_checkpoint_the_averaged_weights_are_taken(tmp_path):
    old = historical_head()
    average = {name: value * 0.5 for name, value in old.state_dict().items()}
    checkpoint = {"epoch": 3, "model_state_dict": old.state_dict(), "ema_state_dict": compiled_names(average)}
    torch.save(checkpoint | {"best_acc": 78.0}, tmp_path / "checkpoint_epoch3.pth")
    head = import_legacy_head(tmp_path / "checkpoint_epoch3.pth")
    assert torch.equal(head.trunk.weight, average["0.weight"])


def test_an_old_checkpoint_without_average_gives_its_raw_weights(tmp_path):
    old = historical_head()
    torch.save({"epoch": 3, "model_state_dict": old.state_dict()}, tmp_path / "checkpoint_epoch3.pth")
    assert torch.equal(import_legacy_head(tmp_path / "checkpoint_epoch3.pth").classes.bias, old[3].bias)


class Malicious:
    def __reduce__(self):
        return print, ("unpickled",)


def test_code_in_an_old_file_is_not_run(tmp_path, capsys):
    torch.save({"0.weight": Malicious()}, tmp_path / "head.pth")
    with pytest.raises(CheckpointError, match="cannot be read as tensors alone"):
        import_legacy_head(tmp_path / "head.pth")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"fc.weight": torch.zeros(2, 3)}, r"holds fc\.weight; a head of the historical trainer holds 0\.weight"),
        ({"epoch": 3}, "holds no state dict"),
        (torch.zeros(3), "holds no state dict"),
    ],
    ids=["another model", "no weights", "a tensor"],
)
def test_what_is_not_an_old_head_is_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "head.pth")
    with pytest.raises(CheckpointError, match=message):
        import_legacy_head(tmp_path / "head.pth")


def test_an_old_head_of_three_classes_is_refused_by_shape(tmp_path):
    state = historical_head().state_dict()
    torch.save(state | {"3.weight": torch.zeros(3, 7)}, tmp_path / "head.pth")
    with pytest.raises(CheckpointError, match=r"3\.weight .* has shape \(3, 7\), expected \(2, 7\)"):
        import_legacy_head(tmp_path / "head.pth")


def test_a_missing_or_empty_file_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        import_legacy_head(tmp_path / "head.pth")
    (tmp_path / "head.pth").write_bytes(b"")
    with pytest.raises(CheckpointError, match="cannot be read"):
        import_legacy_head(tmp_path / "head.pth")

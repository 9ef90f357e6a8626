"""The best device is the first there is, and has a name."""

import pytest
import torch

from dlbook_lib.common.devices import best_device, device_name


@pytest.mark.parametrize(
    ("cuda", "mps", "best"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_the_fastest_device_is_chosen(monkeypatch, cuda, mps, best):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert best_device() == torch.device(best)


def test_tensors_can_live_there():
    assert torch.ones(2, device=best_device()).sum().item() == 2


def test_names(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device}")
    assert device_name("cpu") == "CPU"
    assert device_name(torch.device("mps")) == "Apple GPU"
    assert device_name("cuda:1") == "GPU cuda:1"
    assert device_name("meta") == "meta"
    assert device_name() == device_name(best_device())

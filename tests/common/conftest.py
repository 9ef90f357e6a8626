"""What the helpers display, caught before a notebook would show it."""

from types import SimpleNamespace

import pytest


@pytest.fixture
def displayed(monkeypatch):
    """A list that grows by each MIME bundle displayed, with its metadata."""
    caught = []

    def display(data, *, raw, metadata):
        assert raw
        caught.append(SimpleNamespace(data=data, metadata=metadata))

    monkeypatch.setattr("IPython.get_ipython", object)
    monkeypatch.setattr("IPython.display.display", display)
    return caught

"""Every page runs in a live kernel, and its figures move there."""

import sys

import pytest

from tests.pages import in_kernel
from tools.pages import pages

pytestmark = pytest.mark.pages


@pytest.fixture(scope="session")
def jupyter_path(tmp_path_factory):
    return in_kernel.install(sys.executable, tmp_path_factory.mktemp("kernel"))


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_page_runs_and_its_figures_move(page, jupyter_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", jupyter_path)
    in_kernel.run_and_move(page)

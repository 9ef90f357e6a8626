"""Every page runs as on Colab, with its older packages, and its figures move there.

Colab's image is stood in for by `.venv-colab`, made when it is missing or `colab.txt`
changed. Python and torch are the book's: Colab's torch brings gigabytes of CUDA.
"""

import os
import subprocess
import sys
import venv

import pytest

from tests.pages import in_kernel
from tools.pages import ROOT, pages

PYTHON = ROOT / ".venv-colab/bin/python"
REQUIREMENTS = ROOT / "tests/pages/colab.txt"
pytestmark = pytest.mark.pages


def pip(*words):
    subprocess.run([PYTHON, "-m", "pip", *words], check=True, cwd=ROOT)


@pytest.fixture(scope="session")
def colab():
    """Colab's environment, with this tree's dlbook_lib installed as on Colab."""
    if sys.version_info >= (3, 14):
        pytest.skip("Colab's NumPy has no wheel for Python 3.14")
    ready, wanted = ROOT / ".venv-colab/ready", REQUIREMENTS.read_text("utf-8")
    if not ready.exists() or ready.read_text("utf-8") != wanted:
        venv.create(ROOT / ".venv-colab", clear=True, with_pip=True)
        pip("install", "-q", "-r", REQUIREMENTS)
        ready.write_text(wanted, "utf-8")
    pip("install", "-q", "--no-deps", "--force-reinstall", ROOT)


@pytest.fixture(scope="session")
def jupyter_path(colab, tmp_path_factory):
    return in_kernel.install(PYTHON, tmp_path_factory.mktemp("kernel"))


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_page_runs_and_its_figures_move(page, jupyter_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", jupyter_path)
    in_kernel.run_and_move(page, installed=True)


def test_versions_fit_the_ranges_of_the_library(colab):
    command = [PYTHON, "-m", "pip", "check"]
    check = subprocess.run(command, capture_output=True, text=True)
    assert check.returncode == 0, check.stdout


def test_messages_move_a_live_figure_under_ipywidgets_7(colab):
    """As `tests/common/test_live.py` does under ipywidgets 8, by Colab's Python."""
    script = ROOT / "tests/common/live_kernel_check.py"
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [PYTHON, script], capture_output=True, text=True, env=env, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr

"""Every page runs from top to bottom under the versions that Colab's image has."""

import os
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient

from tools.pages import ROOT, pages

PYTHON = ROOT / ".venv-colab/bin/python"
pytestmark = pytest.mark.pages


@pytest.fixture(scope="session")
def kernel(tmp_path_factory):
    """Name of a kernel in the Colab environment, with this tree's dlbook_lib in it."""
    if not PYTHON.exists():
        pytest.fail(f"{PYTHON} is missing; run `make .venv-colab/ready`")
    prefix = tmp_path_factory.mktemp("colab")
    install = [PYTHON, "-m", "pip", "install", "-q", "--no-deps", "--force-reinstall"]
    subprocess.run([*install, ROOT], check=True)
    spec = ["-m", "ipykernel", "install", "--prefix", prefix, "--name", "colab"]
    subprocess.run([PYTHON, *spec], check=True, stderr=subprocess.DEVNULL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(prefix / "share/jupyter"))
        for name in ("OMP", "OPENBLAS", "MKL"):
            patch.setenv(f"{name}_NUM_THREADS", "1")
        yield "colab"


def test_versions_fit_the_ranges_of_the_library(kernel):
    check = subprocess.run(
        [PYTHON, "-m", "pip", "check"], capture_output=True, text=True
    )
    assert check.returncode == 0, check.stdout


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.path))
def test_page_runs(page, kernel):
    path = ROOT / page.path
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        kernel_name=kernel,
        timeout=120,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()


def test_live_figures_move_under_ipywidgets_7(kernel):
    """The same check as under ipywidgets 8, run by this environment's Python."""
    script = ROOT / "tests/common/live_kernel_check.py"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if not p)}
    done = subprocess.run(
        [PYTHON, script], capture_output=True, text=True, env=env, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr

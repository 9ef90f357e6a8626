"""Every page runs from top to bottom under the versions that Colab's image has.

The environment, `.venv-colab`, is made when it is missing or its requirements changed.
Python and torch are those of the book: Colab's own torch comes with gigabytes of CUDA.
"""

import os
import subprocess
import sys
import venv

import nbformat
import pytest
from nbclient import NotebookClient

from tools.execution.run import environment
from tools.pages import ROOT, pages

FOLDER = ROOT / ".venv-colab"
PYTHON = FOLDER / "bin/python"
REQUIREMENTS = ROOT / "tests/colab/requirements.txt"
pytestmark = [
    pytest.mark.pages,
    pytest.mark.skipif(
        sys.version_info >= (3, 14), reason="Colab's NumPy has no wheel for Python 3.14"
    ),
]


def pip(*words):
    subprocess.run([PYTHON, "-m", "pip", *words], check=True, cwd=ROOT)


@pytest.fixture(scope="session")
def colab():
    """Colab's environment, with this tree's dlbook_lib installed as on Colab."""
    ready, wanted = FOLDER / "ready", REQUIREMENTS.read_text("utf-8")
    if not ready.exists() or ready.read_text("utf-8") != wanted:
        venv.create(FOLDER, clear=True, with_pip=True)
        pip("install", "-q", "-r", REQUIREMENTS)
        ready.write_text(wanted, "utf-8")
    pip("install", "-q", "--no-deps", "--force-reinstall", ROOT)


@pytest.fixture(scope="session")
def kernel(colab, tmp_path_factory):
    """Name of a kernel in Colab's environment."""
    prefix = tmp_path_factory.mktemp("colab")
    spec = ["-m", "ipykernel", "install", "--prefix", prefix, "--name", "colab"]
    subprocess.run([PYTHON, *spec], check=True, stderr=subprocess.DEVNULL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(prefix / "share/jupyter"))
        yield "colab"


def test_versions_fit_the_ranges_of_the_library(colab):
    check = subprocess.run(
        [PYTHON, "-m", "pip", "check"], capture_output=True, text=True
    )
    assert check.returncode == 0, check.stdout


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.path))
def test_page_runs(page, kernel):
    path = ROOT / page.path
    env = environment(ROOT)
    del env["PYTHONPATH"]
    NotebookClient(
        nbformat.read(path, as_version=4),
        kernel_name=kernel,
        timeout=120,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute(env=env)


def test_live_figures_move_under_ipywidgets_7(colab):
    """The same check as under ipywidgets 8, run by this environment's Python."""
    script = ROOT / "tests/common/live_kernel_check.py"
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [PYTHON, script], capture_output=True, text=True, env=env, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr

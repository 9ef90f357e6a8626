"""Every page runs in a live kernel and its figures move there: here and as on Colab.

Colab's image is stood in for by `.venv-colab`, made when it is missing or `colab.txt`
changed. Python and torch are the book's: Colab's torch brings gigabytes of CUDA.
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

PYTHON = ROOT / ".venv-colab/bin/python"
REQUIREMENTS = ROOT / "tests/pages/colab.txt"
WIDGET = "application/vnd.jupyter.widget-view+json"
MOVE = """
import gc
import ipywidgets

boxes = [each for each in gc.get_objects() if type(each) is ipywidgets.VBox]
for *controls, picture in (box.children for box in boxes):
    for control in controls:
        before = picture.value
        if isinstance(control, ipywidgets.Dropdown):
            control.index = (control.index + 1) % len(control.options)
        else:
            low = control.value == control.min
            control.value = control.min + control.step if low else control.min
        assert picture.value != before, control
        assert "<svg" in picture.value, picture.value
print(len(boxes), end="")
"""
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


@pytest.fixture(scope="session", params=["here", "colab"])
def kernel(request, tmp_path_factory):
    """Name of a kernel in this environment, or in Colab's."""
    if request.param == "here":
        python = sys.executable
    else:
        request.getfixturevalue("colab")
        python = PYTHON
    prefix = tmp_path_factory.mktemp("kernel")
    spec = ["-m", "ipykernel", "install", "--prefix", prefix, "--name", request.param]
    subprocess.run([python, *spec], check=True, stderr=subprocess.DEVNULL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(prefix / "share/jupyter"))
        yield request.param


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_page_runs_and_its_figures_move(page, kernel):
    path = ROOT / page.path
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(MOVE))
    env = environment(ROOT)
    if kernel == "colab":  # there the library is the installed one
        del env["PYTHONPATH"]
    resources = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(
        notebook, kernel_name=kernel, timeout=120, resources=resources
    )
    client.execute(env=env)
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    live = sum(WIDGET in out.get("data", {}) for out in outputs)
    assert outputs[-1].text == str(live)


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

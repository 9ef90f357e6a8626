"""Run a page in a live kernel and move its figures there."""

import subprocess

import nbformat
from nbclient import NotebookClient

from tools.execution.run import environment
from tools.pages import ROOT

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


def install(python, prefix):
    """Make a Jupyter kernel called "book" of a Python; the path to find it by."""
    spec = ["-m", "ipykernel", "install", "--prefix", prefix, "--name", "book"]
    subprocess.run([python, *spec], check=True, stderr=subprocess.DEVNULL)
    return str(prefix / "share/jupyter")


def run_and_move(page, installed=False):
    """Run a page, move each live figure; with the `installed` library or the tree's."""
    path = ROOT / page.path
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(MOVE))
    env = environment(ROOT)
    if installed:
        del env["PYTHONPATH"]
    resources = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(
        notebook, kernel_name="book", timeout=120, resources=resources
    )
    client.execute(env=env)
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    live = sum(WIDGET in out.get("data", {}) for out in outputs)
    assert outputs[-1].text == str(live)

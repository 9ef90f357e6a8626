"""What a committed notebook may hold: text outputs, and no trace of where it ran."""

import re

import nbformat
import pytest
from nbformat import v4

from tools.execution.notebook import code_cells, read, stripped
from tools.pages import ROOT, pages

PLACES = re.compile(r"(?<![\w:/.])/(?:home|Users|root|tmp|usr|opt|content|work|mnt)/\w")
DRIVES = re.compile(r"\b[A-Z]:\\+\w")
ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}")
MARKER = re.compile(r"^\s*#\s*(?:NBVAL_\w+|PYTEST_VALIDATE_\w+)", re.MULTILINE)

UNCHECKED = {"nbval-skip", "nbval-ignore-output", "nbval-raises-exception"}
UNCHECKED |= {"raises-exception", "pytest-validate-ignore-output"}


def problems(notebook):
    """A sentence for each thing that keeps the notebook from being committed."""
    if stripped(notebook) != notebook:
        yield "it holds more than text outputs; run make execute"
    counts = [cell.execution_count for cell in code_cells(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"its execution counts are {counts}; run make execute"
    for cell in code_cells(notebook):
        tags = cell.metadata.get("tags", [])
        if MARKER.search(cell.source) or UNCHECKED & set(tags):
            yield f"{cell.id}: a marker or tag may keep nbval from comparing it"
        printed = nbformat.writes(v4.new_notebook(cells=[cell]))
        for trace in (PLACES, DRIVES, ADDRESS):
            if found := trace.search(printed):
                yield f"{cell.id}: {found[0]!r} is true on one machine only"


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.path.as_posix())
def test_page_is_stored_as_text(page):
    path = ROOT / page.path
    notebook = read(path)
    assert list(problems(notebook)) == []
    assert path.read_text("utf-8") == nbformat.writes(notebook, indent=1) + "\n"


def cell_showing(data, **fields):
    output = v4.new_output("display_data", data=data)
    return v4.new_code_cell("1", outputs=[output], execution_count=1, **fields)


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        (cell_showing({"image/png": "AAAA", "text/plain": "a"}), "text outputs"),
        (cell_showing({"image/svg+xml": "<svg/>"}), "text outputs"),
        (cell_showing({"text/html": "a", "text/plain": "a"}), "text outputs"),
        (v4.new_code_cell("1", metadata={"execution": {}}), "text outputs"),
        (v4.new_code_cell("1"), "execution counts"),
        (cell_showing({"text/plain": "saved /home/me/x.npy"}), "one machine"),
        (cell_showing({"text/plain": "C:\\Users\\me"}), "one machine"),
        (cell_showing({"text/plain": "<f at 0x7f3a2b1c>"}), "one machine"),
        (v4.new_code_cell("open('/tmp/x')", execution_count=1), "one machine"),
        (v4.new_code_cell("# NBVAL_SKIP", execution_count=1), "marker"),
        (
            v4.new_code_cell(
                "1", execution_count=1, metadata={"tags": ["nbval-ignore-output"]}
            ),
            "marker",
        ),
    ],
)
def test_what_must_not_be_stored_is_refused(cell, why):
    notebook = v4.new_notebook(
        cells=[cell], metadata={"language_info": {"name": "python"}}
    )
    assert any(why in problem for problem in problems(notebook))


def test_widget_state_is_refused():
    notebook = v4.new_notebook(metadata={"language_info": {"name": "python"}})
    assert list(problems(notebook)) == []
    notebook.metadata["widgets"] = {}
    assert list(problems(notebook))

"""Committed notebooks hold text outputs, complete, and no trace of a machine."""

import re

import nbformat
import pytest

from tools.execution.notebook import KEPT, code_cells, read
from tools.pages import ROOT, pages

MACHINE = re.compile(
    r"(?<![\w.:/])(/(home|root|Users|work|tmp|private|mnt)/|[A-Z]:\\)\S"
)
CELL_ID = re.compile(r"(?![0-9a-f]{8}$)[a-z][a-z0-9-]*")
METADATA = {"kernelspec", "language_info", "dlbook"}
TAGS = {"hide-input", "hide-output"}  # folded on the site, not gone


def faults(root):
    found = []
    for page in pages(root):
        text = (root / page.path).read_text("utf-8")
        notebook = read(root / page.path)
        found += [f"{page.path}: {what}" for what in notebook_faults(notebook, text)]
        for cell in notebook.cells:
            where = f"{page.path}, cell {cell.id}"
            found += [f"{where}: {what}" for what in cell_faults(cell)]
        counts = [cell.execution_count for cell in code_cells(notebook)]
        if counts != list(range(1, len(counts) + 1)):
            repair = f"make execute PAGES={page.path.with_suffix('')}"
            found.append(
                f"{page.path}: execution counts are not 1, 2, …; run: {repair}"
            )
    return found


def notebook_faults(notebook, text):
    if (notebook.nbformat, notebook.nbformat_minor) != (4, 5):
        yield "not in format 4.5"
    if extra := notebook.metadata.keys() - METADATA:
        yield f"metadata {', '.join(sorted(extra))}"
    if "data:image" in text:
        yield "an image in the text"
    if not text.endswith("}\n"):
        yield "no line end at its end"


def cell_faults(cell):
    if not CELL_ID.fullmatch(cell.id):
        yield "its id does not say what it is"
    if cell.get("attachments"):
        yield "attached files"
    if extra := cell.metadata.keys() - {"tags"}:
        yield f"metadata {', '.join(sorted(extra))}"
    if extra := set(cell.metadata.get("tags", [])) - TAGS:
        yield f"tags {', '.join(sorted(extra))}"
    if cell.cell_type == "code":
        for out in cell.outputs:
            if out.output_type not in ("stream", "display_data", "execute_result"):
                yield f"an output of type {out.output_type}"
            if extra := set(out.get("data", {})) - {KEPT}:
                yield f"stores {', '.join(sorted(extra))}"
            if out.get("metadata"):
                yield "output metadata"
        said = [out.get("text", "") for out in cell.outputs]
        said += [out.get("data", {}).get(KEPT, "") for out in cell.outputs]
        if path := MACHINE.search("\n".join([cell.source, *said])):
            yield f"the absolute path {path[0]}…"


def test_stored_notebooks_hold_text_only(holds):
    holds(faults(ROOT))


def image(cell, notebook):
    data = {"text/plain": "Figure", "image/png": "iVBORw0KGgo="}
    cell.outputs = [nbformat.v4.new_output("display_data", data)]


def html(cell, notebook):
    data = {"text/plain": "Table", "text/html": "<table></table>"}
    cell.outputs = [nbformat.v4.new_output("display_data", data)]


def widget_view(cell, notebook):
    view = "application/vnd.jupyter.widget-view+json"
    data = {"text/plain": "Live figure", view: {"model_id": "1"}}
    cell.outputs = [nbformat.v4.new_output("display_data", data)]


def widget_state(cell, notebook):
    notebook.metadata.widgets = {}


def no_count(cell, notebook):
    cell.execution_count = None


def wrong_count(cell, notebook):
    cell.execution_count = 40


def error(cell, notebook):
    cell.outputs = [nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])]


def absolute_path(cell, notebook):
    said = "read from /home/ada/digits.csv\n"
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=said)]


def timing(cell, notebook):
    cell.metadata.execution = {"iopub.execute_input": "2000-01-01"}


def removed_from_the_site(cell, notebook):
    cell.metadata.tags = ["remove-cell"]


def random_id(cell, notebook):
    cell.id = "a1b2c3d4"


SENTENCES = {
    image: "stores image/png",
    html: "stores text/html",
    widget_view: "stores application/vnd.jupyter.widget-view",
    widget_state: "metadata widgets",
    no_count: "make execute PAGES=chapters/01_feedforward/depth_and_width",
    wrong_count: "execution counts are not 1, 2",
    error: "an output of type error",
    absolute_path: "the absolute path /home/",
    timing: "metadata execution",
    removed_from_the_site: "tags remove-cell",
    random_id: "its id does not say what it is",
}


@pytest.mark.parametrize("spoil", SENTENCES, ids=lambda spoil: spoil.__name__)
def test_what_must_not_be_stored_is_named(book, spoil):
    assert not faults(book.root)
    book.edit_notebook(book.first, lambda nb: spoil(code_cells(nb)[3], nb))
    (found,) = faults(book.root)
    assert str(book.first) in found
    assert SENTENCES[spoil] in found

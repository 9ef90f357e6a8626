"""Reading and writing notebooks, and what of an executed one is stored in the tree."""

import copy
import os
from pathlib import Path

import nbformat
from nbformat import NotebookNode

KEPT = "text/plain"


def read(path: Path) -> NotebookNode:
    """The notebook at `path`; a sentence naming it where it cannot be read."""
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:
        raise ValueError(f"{path}: not a readable notebook ({error})") from error


def write(path: Path, notebook: NotebookNode) -> None:
    """Write the notebook whole or not at all."""
    replace_file(path, nbformat.writes(notebook, indent=1) + "\n")


def replace_file(path: Path, text: str) -> None:
    """Give the file a new content in one step, so that no half of it is ever seen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, "utf-8")
    draft.replace(path)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The notebook's code cells; the first is number 1 to the reader."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def first_line(cell: NotebookNode) -> str:
    """The first line of the cell's code, "" if it has none."""
    return next(iter(cell.source.splitlines()), "")


def with_outputs(notebook: NotebookNode, outputs: list[list]) -> NotebookNode:
    """A copy whose code cells, counted from 1, show the given outputs."""
    notebook = copy.deepcopy(notebook)
    for count, (cell, outs) in enumerate(
        zip(code_cells(notebook), outputs, strict=True), start=1
    ):
        cell.execution_count = count
        cell.outputs = copy.deepcopy(outs)
        for out in cell.outputs:
            if out.output_type == "execute_result":
                out.execution_count = count
    return notebook


def text_outputs(outputs: list) -> list:
    """Of a cell's outputs, what is stored and compared: streams and plain text."""
    kept = []
    for out in outputs:
        if out.output_type == "stream":
            kept.append(out)
        elif KEPT in out.get("data", {}):
            only_text = {"data": {KEPT: out.data[KEPT]}, "metadata": {}}
            kept.append(NotebookNode(out | only_text))
    return kept


def stripped(notebook: NotebookNode) -> NotebookNode:
    """A copy as it is committed: text outputs, and no trace of where and when it ran.

    >>> out = nbformat.v4.new_output("display_data", {KEPT: "4", "text/html": "<b>4"})
    >>> cell = nbformat.v4.new_code_cell("2 + 2", outputs=[out], execution_count=1)
    >>> stripped(nbformat.v4.new_notebook(cells=[cell])).cells[0].outputs[0].data
    {'text/plain': '4'}
    """
    notebook = copy.deepcopy(notebook)
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = NotebookNode(name="python")
    for cell in code_cells(notebook):
        cell.metadata.pop("execution", None)
        cell.outputs = text_outputs(cell.outputs)
    return notebook

"""A Sphinx extension: the site shows the outputs of each page's last validated run.

Notebooks are read with the outputs that the execution store keeps in place of their
stored text; a page whose run no longer holds keeps its stored text. Sphinx itself
executes nothing (`execute_notebooks: "off"` in `_config.yml`).
"""

import copy
import re

import nbformat
from nbformat import NotebookNode

from tools.execution.notebook import code_cells
from tools.execution.store import Store

WIDGET = "application/vnd.jupyter.widget-view+json"
NOT_DRAWN = "Drawn when the page is executed; the text says what it shows."


def setup(app):
    """Register with Sphinx."""
    app.connect("env-get-outdated", pages_run_since)
    app.connect("source-read", show_run)
    return {"version": "1", "parallel_read_safe": False}


def pages_run_since(app, env, added, changed, removed):
    """Pages that Sphinx must read again though their files did not change."""
    shown, store = getattr(env, "shown_runs", {}), Store(app.srcdir)
    return [page for page, run in shown.items() if run != _name(store.fresh(page))]


def show_run(app, docname, source):
    """Put the outputs of the page's run into what Sphinx reads."""
    if not app.env.doc2path(docname).endswith(".ipynb"):
        return
    store = Store(app.srcdir)
    record = store.fresh(docname)
    executed = store.executed(docname) if record else None
    notebook = nbformat.reads(source[0], as_version=4)
    source[0] = nbformat.writes(rendered(notebook, executed))
    app.env.shown_runs = getattr(app.env, "shown_runs", {}) | {docname: _name(record)}


def rendered(notebook: NotebookNode, executed: NotebookNode | None) -> NotebookNode:
    """The notebook with the outputs of its run; with its stored ones if it has none.

    A figure's name and caption become those of its cell, so that Sphinx numbers the
    figure. One that is not drawn yet has its name all the same: references resolve.
    """
    notebook = copy.deepcopy(notebook)
    runs = code_cells(executed or notebook)
    for cell, run in zip(code_cells(notebook), runs, strict=True):
        cell.outputs = run.outputs
        figure = None if executed else _announced(cell)
        for out in cell.outputs:
            out.get("data", {}).pop(WIDGET, None)
            figure = out.get("metadata", {}).get("dlbook_figure", figure)
        if figure:
            options = {key: figure[key] for key in ("name", "caption") if figure[key]}
            cell.metadata.setdefault("mystnb", {})["figure"] = options
    return notebook


def _announced(cell: NotebookNode) -> dict | None:
    """The figure that a cell would draw, read from its code."""
    name = re.search(r"""\bname\W{1,4}(fig-[\w-]+)""", cell.source)
    return {"name": name[1], "caption": NOT_DRAWN} if name else None


def _name(record: dict | None) -> str:
    """What tells one run of a page from another, "" if there is none that holds."""
    return f"{record['key']} {record['finished']}" if record else ""

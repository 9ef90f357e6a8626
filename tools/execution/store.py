"""The execution store: for each page the outputs of its last validated run.

`_build/execution/<page>.ipynb` holds the page with all its outputs, and
`_build/execution/<page>.json` the record of that run: its key, its seconds as a whole
and cell by cell, its claims, and how many figures it drew.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

from nbformat import NotebookNode

from tools.execution.key import page_key
from tools.execution.notebook import code_cells, first_line, read, replace_file, write


class Store:
    """The runs kept for the book at `root`. A page is "chapters/01_feedforward/xor"."""

    def __init__(self, root: Path):
        self.root = Path(root).resolve()
        self.folder = self.root / "_build" / "execution"

    def record(self, page: str) -> dict | None:
        """The record of the page's last validated run, None if there is none."""
        path = self._path(page, "json")
        return json.loads(path.read_text("utf-8")) if path.exists() else None

    def fresh(self, page: str) -> dict | None:
        """The record, if running the page again could change nothing; else None."""
        record = self.record(page)
        if record and record["key"] == page_key(self.root, page):
            return record
        return None

    def executed(self, page: str) -> NotebookNode:
        """The page with all outputs of its last validated run."""
        return read(self._path(page, "ipynb"))

    def forget(self, page: str) -> None:
        """Drop what is kept of the page; the record first, it vouches for the rest."""
        self._path(page, "json").unlink(missing_ok=True)
        self._path(page, "ipynb").unlink(missing_ok=True)

    def keep_only(self, pages: list[str]) -> None:
        """Drop what is kept of any page but these."""
        for path in self.folder.rglob("*.json"):
            page = path.relative_to(self.folder).with_suffix("").as_posix()
            if page not in pages:
                self.forget(page)

    def keep(
        self, page: str, key: str, notebook: NotebookNode, took: list, seconds: float
    ) -> None:
        """Keep a run: the executed notebook, seconds of each code cell, and of all."""
        cells = [
            {"index": n, "id": cell.id, "seconds": s, "first_line": first_line(cell)}
            for n, (cell, s) in enumerate(
                zip(code_cells(notebook), took, strict=True), start=1
            )
        ]
        figures = list(_marked(notebook, "dlbook_figure"))
        record = {
            "page": page,
            "key": key,
            "seconds": seconds,
            "finished": datetime.now(UTC).isoformat(timespec="microseconds"),
            "cells": cells,
            "claims": list(_marked(notebook, "dlbook_claim")),
            "figures": len(figures),
            "live": sum(bool(figure.get("live")) for figure in figures),
        }
        write(self._path(page, "ipynb"), notebook)
        replace_file(self._path(page, "json"), json.dumps(record, indent=1) + "\n")

    def _path(self, page: str, suffix: str) -> Path:
        return self.folder / f"{page}.{suffix}"


def _marked(notebook: NotebookNode, mark: str):
    for cell in code_cells(notebook):
        for out in cell.outputs:
            if mark in out.get("metadata", {}):
                yield {**out.metadata[mark], "cell": cell.id}

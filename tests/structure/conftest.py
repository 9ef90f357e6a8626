"""A tiny book of two pages, laid out as by `make new`, for each test to break."""

import re
import shutil
from pathlib import Path

import nbformat
import pytest

from tools import new_page
from tools.execution.notebook import code_cells, read, with_outputs, write
from tools.pages import ROOT, pages

TOC = """\
format: jb-book
root: book/welcome
parts:
  - caption: Start here
    chapters:
      - file: book/notation
  - caption: Reference
    chapters:
      - file: book/glossary
"""


class Book:
    """The tiny book at `root`: `first` comes before `second`, in one chapter."""

    first = Path("chapters/01_feedforward/depth_and_width.ipynb")
    second = Path("chapters/01_feedforward/cost_functions.ipynb")
    solutions = Path("chapters/01_feedforward/solutions.ipynb")
    library = Path("dlbook_lib/feedforward")

    def __init__(self, root):
        self.root = root

    def edit(self, path, old, new):
        """Replace text that occurs in a file, as it stands there."""
        text = (self.root / path).read_text("utf-8")
        assert re.search(old, text), f"{path} does not hold {old}"
        (self.root / path).write_text(re.sub(old, lambda _: new, text), "utf-8")

    def edit_cell(self, path, cell_id, old, new):
        """Replace text of one cell."""
        notebook = read(self.root / path)
        (cell,) = (c for c in notebook.cells if c.id == cell_id)
        assert old in cell.source
        cell.source = cell.source.replace(old, new)
        write(self.root / path, notebook)

    def edit_notebook(self, path, change):
        """Let `change(notebook)` alter a notebook in place."""
        notebook = read(self.root / path)
        change(notebook)
        write(self.root / path, notebook)

    def finish(self, path):
        """Declare that a page is no draft any more."""
        self.edit_notebook(path, lambda notebook: notebook.metadata.dlbook.pop("draft"))


@pytest.fixture
def holds():
    """A rule holds when its checker found nothing; else each finding is a line."""

    def holds(found):
        if found:
            pytest.fail("\n".join(found), pytrace=False)

    return holds


@pytest.fixture(scope="session")
def pristine(tmp_path_factory):
    """The tiny book as it is laid out, with the outputs that a run would store."""
    root = tmp_path_factory.mktemp("pristine")
    (root / "_toc.yml").write_text(TOC, "utf-8")
    shutil.copy(ROOT / "_config.yml", root)
    (root / "book").mkdir()
    shutil.copy(ROOT / "book/syllabus.yml", root / "book")
    for name in ("welcome", "notation", "glossary"):
        (root / f"book/{name}.md").write_text(f"# The {name}\n", "utf-8")
    (root / "dlbook_lib/common").mkdir(parents=True)
    for name in ("dlbook_lib", "dlbook_lib/common"):
        shutil.copy(ROOT / name / "__init__.py", root / name)
    shutil.copy(ROOT / "dlbook_lib/common/checks.py", root / "dlbook_lib/common")
    for name in ("feedforward/cost_functions", "feedforward/depth_and_width"):
        new_page.lay_out(root, name)
    for page in pages(root):
        notebook = read(root / page.path)
        said = nbformat.v4.new_output("stream", name="stdout", text="as before\n")
        outputs = [[said] for _ in code_cells(notebook)]
        write(root / page.path, with_outputs(notebook, outputs))
    return root


@pytest.fixture
def book(pristine, tmp_path):
    """A copy of the tiny book that a test may break."""
    root = tmp_path / "book"
    shutil.copytree(pristine, root)
    return Book(root)

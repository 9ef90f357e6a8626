"""A tiny book in a temporary folder: three pages, a library, its own configuration."""

import shutil
from pathlib import Path

import pytest
from nbformat import v4

from tools import stamp, sync_cells
from tools.execution.notebook import read, write
from tools.execution.run import run_pages
from tools.pages import ROOT

CONFIG = """\
title: Tiny
only_build_toc_files: true
execute: {execute_notebooks: "off"}
repository: {url: https://github.com/example/tiny, branch: main}
sphinx: {local_extensions: {tools.execution.render: .}}
"""
TOC = """\
format: jb-book
root: book/welcome
chapters:
  - file: chapters/01_tiny/alpha
  - file: chapters/01_tiny/beta
  - file: chapters/01_tiny/gamma
"""
LIBRARY = {
    "__init__": '"""The library of the tiny book."""\n',
    "tiny/__init__": '"""One chapter."""\n',
    "tiny/alpha": 'def double(x):\n    """Twice x."""\n    return 2 * x\n',
    "tiny/beta": (
        "def quadruple(x):\n"
        "    from .alpha import double\n\n"
        "    return double(double(x))\n"
    ),
    "tiny/gamma": "def negative(x):\n    return -x\n",
}
FIGURE = """\
import uuid

from IPython.display import display

drawn = {"text/plain": "Figure: a line", "text/html": f"<i>{uuid.uuid4()}</i>"}
marks = {"dlbook_figure": {"name": "fig-tiny", "caption": "A line.", "alt": "a line"}}
display(drawn, metadata=marks, raw=True)
"""
CLAIM = """\
from dlbook_lib.common.claims import claim

claim("gamma.value", negative(3), (-4, -2), "units", "arithmetic")
"""
PAGES = {
    "alpha": {
        "import": (
            "import os\n\nimport dlbook_lib.tiny.alpha as alpha\n\n"
            "with open('runs.txt', 'a') as file:\n"
            "    print('run', file=file)"
        ),
        "copy": "# dlbook_lib/tiny/alpha.py :: double",
        "call": "print(double(2), os.environ['OMP_NUM_THREADS'])\nalpha.double(3)",
        "figure": FIGURE,
    },
    "beta": {
        "call": "from dlbook_lib.tiny.beta import quadruple\n\nquadruple(1)",
    },
    "gamma": {
        "call": "from dlbook_lib.tiny.gamma import negative\n\nnegative(1)",
        "claim": CLAIM,
    },
}
TEXT = "# Page {name}\n\nSee {{numref}}`fig-tiny`."


class TinyBook:
    """The book, and the few things that the tests do to it."""

    def __init__(self, root: Path):
        self.root = root
        self.pages = [f"chapters/01_tiny/{name}" for name in PAGES]
        for name, text in LIBRARY.items():
            self.write(f"dlbook_lib/{name}.py", text)
        self.write("_config.yml", CONFIG)
        self.write("_toc.yml", TOC)
        self.write("requirements.txt", "numpy\n")
        self.write("book/welcome.md", "# Tiny\n")
        for name in ("__init__", "claims", "output"):
            source = f"dlbook_lib/common/{name}.py"
            self.write(source, (ROOT / source).read_text("utf-8"))
        for name, cells in PAGES.items():
            notebook = v4.new_notebook(
                cells=[v4.new_markdown_cell(TEXT.format(name=name))]
            )
            for cell_id, source in {"bootstrap": "#", **cells}.items():
                notebook.cells.append(v4.new_code_cell(source.strip(), id=cell_id))
            write(self.notebook(name), notebook)
        assert stamp.main([], root) + sync_cells.main([], root) == 0

    def notebook(self, name: str) -> Path:
        return self.root / f"chapters/01_tiny/{name}.ipynb"

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, "utf-8")

    def replace(self, path: str, old: str, new: str) -> None:
        """Change one place in a file of the book."""
        text = (self.root / path).read_text("utf-8")
        assert text.count(old) == 1
        self.write(path, text.replace(old, new))

    def edit(self, name: str, cell_id: str, **changes) -> None:
        """Change one cell of a page: its source, outputs or execution count."""
        notebook = read(self.notebook(name))
        next(cell for cell in notebook.cells if cell.id == cell_id).update(changes)
        write(self.notebook(name), notebook)


@pytest.fixture(scope="session")
def executed_book(tmp_path_factory) -> Path:
    """The tiny book after one run of all its pages; to be copied, not changed."""
    book = TinyBook(tmp_path_factory.mktemp("tiny") / "book")
    assert run_pages(book.root, book.pages, accept=True)
    return book.root


@pytest.fixture
def tiny_book(executed_book, tmp_path) -> TinyBook:
    """A tiny book of the test's own, all of whose runs still hold."""
    shutil.copytree(executed_book, tmp_path / "book")
    book = TinyBook.__new__(TinyBook)
    book.root = tmp_path / "book"
    book.pages = [f"chapters/01_tiny/{name}" for name in PAGES]
    return book

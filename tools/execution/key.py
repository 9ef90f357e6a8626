"""The execution key: equal keys mean that running the page again can change nothing."""

import ast
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from tools.execution.notebook import code_cells, read, text_outputs

PACKAGE = "dlbook_lib"
PINS = ("requirements.txt", "requirements-data.txt")


def page_key(root: Path, page: str) -> str:
    """SHA-256 over all that decides what a page shows, and over what it is held to.

    That is: its code cells with their stored outputs, every file of the library that
    it imports directly or through another module, the pins of packages and of data,
    and the version of Python.
    """
    notebook = read(root / f"{page}.ipynb")
    digest = hashlib.sha256(repr(sys.version_info[:2]).encode())
    digest.update(json.dumps(_cells(notebook), sort_keys=True).encode())
    pins = [root / name for name in PINS]
    for path in [*pins, *library_files(root, notebook)]:
        content = path.read_bytes() if path.exists() else b""
        digest.update(f"\n{path.relative_to(root)} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def library_files(root: Path, notebook: NotebookNode) -> list[Path]:
    """Every library file that running the notebook can import, in a fixed order.

    Found by reading the code, wherever the import statement stands. A file that is no
    Python (a style sheet, a table) counts with the package in whose folder it lies.
    """
    to_python = TransformerManager().transform_cell
    sources = [to_python(cell.source) for cell in code_cells(notebook)]
    waiting = [name for source in sources for name in imported(source)]
    found: dict[str, Path] = {}
    while waiting:
        name = waiting.pop()
        path = _module(root, name)
        if path and name not in found:
            found[name] = path
            package = name if path.name == "__init__.py" else name.rpartition(".")[0]
            waiting += imported(path.read_text("utf-8"), package)
    return sorted({*found.values(), *_beside(found.values())})


def imported(source: str, package: str = "") -> Iterator[str]:
    """Names of library modules (or of things in them) that the source imports.

    >>> sorted(imported("from dlbook_lib.common import claims"))
    ['dlbook_lib', 'dlbook_lib.common', 'dlbook_lib.common.claims']
    >>> sorted(imported("from .a import f", package="dlbook_lib.b"))[2:]
    ['dlbook_lib.b.a', 'dlbook_lib.b.a.f']
    """
    for node in ast.walk(_tree(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            up = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*up, node.module or ""]) if node.level else node.module
            base = base.strip(".")
            names = [f"{base}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == PACKAGE:
                yield from (".".join(parts[: n + 1]) for n in range(len(parts)))


def _tree(source: str) -> ast.AST:
    try:
        return ast.parse(source)
    except SyntaxError:
        return ast.Module([], [])  # the run itself reports the error


def _cells(notebook: NotebookNode) -> list:
    return [
        [cell.source, cell.execution_count is None, text_outputs(cell.outputs)]
        for cell in code_cells(notebook)
    ]


def _module(root: Path, name: str) -> Path | None:
    path = root.joinpath(*name.split("."))
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((each for each in candidates if each.is_file()), None)


def _beside(files) -> Iterator[Path]:
    for folder in {path.parent for path in files if path.name == "__init__.py"}:
        for path in folder.iterdir():
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                yield path

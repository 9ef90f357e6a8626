"""The book as the structure tests read it: syntax trees, imports, labels, no execution.

Paths are relative to the root, and modules are named by their dots.
"""

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import yaml

from tools.execution.notebook import code_cells, read
from tools.pages import Page, entries, page_at, pages

LABEL = re.compile(r"^\(([^()\s]+)\)=\s*$")
EQUATION = re.compile(r"^\$\$\s*\(([^()\s]+)\)\s*$")
HEADING = re.compile(r"^(#{1,6}) ")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules(root: Path) -> dict[str, Path]:
    """Every module of the library: "dlbook_lib.common.rng" and its file."""
    found = {}
    for path in sorted((root / "dlbook_lib").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def tree(path: Path) -> ast.Module:
    """The syntax tree of a file of the library; nobody may change it."""
    return _parsed(path.read_text("utf-8"), str(path))


@lru_cache(maxsize=1000)
def _parsed(source: str, name: str) -> ast.Module:
    return ast.parse(source, name)


def cell_trees(root: Path, page: Page) -> Iterator[tuple]:
    """Each code cell of the page with its syntax tree."""
    for cell in code_cells(read(root / page.path)):
        try:
            yield cell, ast.parse(cell.source)
        except SyntaxError as error:
            where = f"{page.path}, cell {cell.id}"
            raise SyntaxError(f"{where}: not plain Python ({error})") from None


def imports(body: ast.AST, package: str = "", *, deep: bool = True) -> set[str]:
    """What the code imports, as full names: "torch.nn", "dlbook_lib.common.data".

    `package` resolves relative imports. With `deep` false, imports inside functions,
    which run only when the function is called, are left out.

    >>> sorted(imports(ast.parse("from torch import nn")))
    ['torch', 'torch.nn']
    >>> imports(ast.parse("def f(): import torch"), deep=False)
    set()
    """
    found: set[str] = set()
    waiting = [body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            up = parts[: len(parts) - node.level + 1] if node.level else []
            base = ".".join([*up, *filter(None, [node.module])])
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
        elif deep or not isinstance(node, Function | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return found


def module_imports(root: Path, name: str, *, deep: bool = True) -> set[str]:
    """What the library's module imports, as full names."""
    path = modules(root)[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return imports(tree(path), package, deep=deep)


def aliases(root: Path, page: Page) -> dict[str, str]:
    """What a page's names stand for: "xor_torch" is "dlbook_lib.….xor.pytorch"."""
    found: dict[str, str] = {}
    for _, cell in cell_trees(root, page):
        for node in ast.walk(cell):
            if isinstance(node, ast.Import):
                found |= {a.asname: a.name for a in node.names if a.asname}
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                found |= {a.asname or a.name: f"{base}.{a.name}" for a in node.names}
    return found


def dotted(node: ast.AST, known: dict[str, str]) -> str:
    """The full name of `a.b.c`, its first part looked up in `known`; "" for others."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([known.get(node.id, node.id), *parts])


def calls(body: ast.AST, *names: str) -> Iterator[ast.Call]:
    """Calls of `name(...)` or `anything.name(...)`."""
    for node in ast.walk(body):
        if isinstance(node, ast.Call):
            function = node.func
            called = getattr(function, "id", getattr(function, "attr", None))
            if called in names:
                yield node


class Line(NamedTuple):
    """A line of a page's prose, or a whole code cell (then `text` is None)."""

    text: str | None
    executed: bool = False


def lines(root: Path, path: Path) -> Iterator[Line]:
    """The page from top to bottom; lines inside code fences are left out."""
    if path.suffix == ".md":
        blocks = [("markdown", (root / path).read_text("utf-8"), False)]
    else:
        blocks = [
            (cell.cell_type, cell.source, bool(cell.get("execution_count")))
            for cell in read(root / path).cells
        ]
    for kind, source, executed in blocks:
        if kind == "code":
            yield Line(None, executed)
        elif kind == "markdown":
            yield from (Line(text) for text in _unfenced(source))


def labels(root: Path, path: Path) -> list[str]:
    """The labels that stand in the page: of headings and of equations."""
    texts = [line.text for line in lines(root, path) if line.text]
    found = [LABEL.match(text) or EQUATION.match(text) for text in texts]
    return [match[1] for match in found if match]


def documents(root: Path) -> list[Path]:
    """Every document of `_toc.yml`, notebook or not, as a path with its suffix."""
    return [
        Path(f"{entry}{suffix}")
        for entry in entries(root)
        for suffix in (".ipynb", ".md")
        if (root / f"{entry}{suffix}").exists()
    ]


def section(root: Path, path: Path, label: str) -> list[Line] | None:
    """What stands under the heading below the label; None if there is no such label.

    The section ends at the next heading of its level or above.
    """
    rest = iter(lines(root, path))
    for line in rest:
        match = LABEL.match(line.text or "")
        if match and match[1] == label:
            break
    else:
        return None
    level, found = 0, []
    for line in rest:
        heading = HEADING.match(line.text or "")
        if heading and level and len(heading[1]) <= level:
            break
        level = level or (len(heading[1]) if heading else 0)
        found.append(line)
    return found


def taught(root: Path) -> list[Page]:
    """The pages with a package of their own: those of the chapters, in order."""
    return [page for page in pages(root) if page.package]


def packaged(root: Path) -> list[Page]:
    """The pages that have a package, in the order of the plan, `book/syllabus.yml`.

    A package may stand before its page is written.
    """
    syllabus = yaml.safe_load((root / "book/syllabus.yml").read_text("utf-8"))
    planned = [
        page_at(Path("chapters", entry["chapter"], f"{name}.ipynb"))
        for name, entry in syllabus["pages"].items()
    ]
    return [p for p in planned if (root / p.package.replace(".", "/")).is_dir()]


def _unfenced(source: str) -> Iterator[str]:
    fence = ""
    for text in source.splitlines():
        mark = re.match(r"\s*(`{3,}|~{3,})", text)
        if fence:
            fence = "" if mark and mark[1].startswith(fence) else fence
        elif mark and "{" not in text:
            fence = mark[1]
        else:
            yield text

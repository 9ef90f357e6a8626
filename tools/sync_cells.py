"""Fill the copied cells of the pages from the library, or check that they equal it.

A copied cell begins with a line such as

    # dlbook_lib/feedforward/xor/scratch.py :: xor, xor_backward

and holds these objects as that file spells them, without docstrings.

Usage: python -m tools.sync_cells [--check] [page or folder …]
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from dlbook_lib.common.source import without_docstrings
from tools.execution.notebook import code_cells, first_line, read, write
from tools.execution.run import all_pages, select
from tools.pages import ROOT, Page, page_at, pages

HEADER = re.compile(r"# (?P<file>\S+\.py) :: (?P<names>\w+(?:, \w+)*)\s*")


def copied(source: str) -> tuple[str, list[str]] | None:
    """File and names in the first line of a copied cell; None for another cell.

    >>> copied("# dlbook_lib/feedforward/xor/scratch.py :: xor, AND\\n")
    ('dlbook_lib/feedforward/xor/scratch.py', ['xor', 'AND'])
    >>> copied("x = 1")
    """
    header = HEADER.fullmatch(source.partition("\n")[0])
    return header and (header["file"], header["names"].split(", "))


def definitions(source: str) -> dict[str, ast.stmt]:
    """The functions, classes and assigned names at the top level of the source."""
    found: dict[str, ast.stmt] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [each for target in targets for each in ast.walk(target)]
            found |= {name.id: node for name in names if isinstance(name, ast.Name)}
    return found


def filled(root: Path, source: str) -> str:
    """What the copied cell has to hold; KeyError or OSError if it names nothing."""
    file, names = copied(source)
    library = (root / file).read_text("utf-8")
    found = definitions(library)
    nodes = list(dict.fromkeys(found[name] for name in names))
    text = source.partition("\n")[0].rstrip()
    previous = None
    for node in nodes:
        plain = isinstance(node, ast.Assign | ast.AnnAssign)
        close = previous is None or (plain and previous)
        first = min(
            [node, *getattr(node, "decorator_list", [])], key=lambda n: n.lineno
        )
        lines = library.splitlines()[first.lineno - 1 : node.end_lineno]
        text += ("\n" if close else "\n\n\n") + without_docstrings("\n".join(lines))
        previous = plain
    return text


def problems(root: Path, page: Page) -> Iterator[str]:
    """A sentence for each object of a copied cell that is not as in the library."""
    for cell in code_cells(read(root / page.path)):
        if copied(cell.source):
            for what in _differences(root, cell.source):
                repair = f"python -m tools.sync_cells {page.path}"
                yield f"{page.path}, cell {cell.id}: {what}; run: {repair}"


def sync(root: Path, page: Page) -> bool:
    """Fill the page's copied cells; True if that changed the page."""
    notebook = read(root / page.path)
    changed = False
    for cell in code_cells(notebook):
        if copied(cell.source):
            try:
                source = filled(root, cell.source)
            except (KeyError, OSError) as error:
                where = f"{page.path}, cell {cell.id}: {first_line(cell)}"
                raise SystemExit(f"{where}\n  the library has no {error}") from None
            changed |= source != cell.source
            cell.source = source
    if changed:
        write(root / page.path, notebook)
    return changed


def _documented(node: ast.stmt) -> Iterator[ast.stmt]:
    """The node and its parts, where taking the docstring leaves a body."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    for each in ast.walk(node):
        if isinstance(each, kinds) and len(each.body) > 1 and ast.get_docstring(each):
            yield each


def _tree(node: ast.stmt) -> str:
    for each in list(_documented(node)):
        each.body.pop(0)
    return ast.dump(node)


def _differences(root: Path, source: str) -> Iterator[str]:
    file, names = copied(source)
    try:
        library = definitions((root / file).read_text("utf-8"))
    except OSError:
        yield f"there is no {file}"
        return
    try:
        page = definitions(source)
    except SyntaxError as error:
        yield f"it does not parse ({error.msg}, line {error.lineno})"
        return
    for name in names:
        if name not in library:
            yield f"{file} has no {name}"
        elif name not in page:
            yield f"{name} is not filled in"
        elif _tree(page[name]) != _tree(library[name]):
            yield f"{name} differs from {file}"
    for name in page.keys() - set(names):
        yield f"{name} is not named in its first line"


def _chosen(root: Path, words: list[str]) -> list[Page]:
    if not words:
        return pages(root)
    return [page_at(Path(f"{name}.ipynb")) for name in select(all_pages(root), words)]


def main(arguments: list[str], root: Path = ROOT) -> int:
    """The exit status of the command line: 1 if a check finds a difference."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing")
    parser.add_argument("pages", nargs="*", help="notebooks or folders; default: all")
    options = parser.parse_args(arguments)
    chosen = _chosen(root, options.pages)
    if options.check:
        found = [problem for page in chosen for problem in problems(root, page)]
        print(*found, sep="\n", end="\n" if found else "")
        return 1 if found else 0
    for page in chosen:
        if sync(root, page):
            print(f"filled {page.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

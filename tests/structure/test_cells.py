"""What stands in the code cells: copies are true, nothing is hidden, all short."""

import ast
import io
import tokenize
from itertools import pairwise

from tools import sync_cells
from tools.execution.notebook import code_cells, read
from tools.pages import ROOT, pages
from tools.reading import (
    aliases,
    calls,
    cell_trees,
    dotted,
    imports,
    modules,
    taught,
    tree,
)

LONGEST = 25


def stale_copies(root):
    return [text for page in pages(root) for text in sync_cells.problems(root, page)]


def test_copied_cells_equal_the_library(holds):
    holds(stale_copies(ROOT))


def test_a_stale_copy_is_named_with_its_repair(book):
    assert not stale_copies(book.root)
    book.edit(book.library / "depth_and_width/scratch.py", r"return x \* x", "return x")
    (found,) = stale_copies(book.root)
    assert "cell scratch-square: square differs" in found
    assert f"run: python -m tools.sync_cells {book.first}" in found


def shown(root, page):
    """Names of library objects that the page shows: "dlbook_lib.….scratch.relu"."""
    known, found = aliases(root, page), set()
    for cell, body in cell_trees(root, page):
        if copy := sync_cells.copied(cell.source):
            module = copy[0].removesuffix(".py").replace("/", ".")
            known |= {name: f"{module}.{name}" for name in copy[1]}
            found |= {f"{module}.{name}" for name in copy[1]}
        for call in calls(body, "show_source"):
            found |= {dotted(argument, known) for argument in call.args}
    library = modules(root)
    for name in found & library.keys():
        found |= {f"{name}.{each}" for each in defined(library[name])}
    return found


def defined(path):
    """The functions and classes at the top level of a file."""
    kinds = ast.FunctionDef | ast.ClassDef
    return [node.name for node in tree(path).body if isinstance(node, kinds)]


def hidden(root):
    found, library = [], modules(root)
    for page in taught(root):
        seen = shown(root, page)
        for module in (f"{page.package}.scratch", f"{page.package}.pytorch"):
            for name in defined(library[module]) if module in library else []:
                if f"{module}.{name}" not in seen:
                    found.append(f"{page.path} does not show {module}.{name}")
    return found


def test_every_object_of_a_page_is_shown(holds):
    holds(hidden(ROOT))


def test_a_hidden_helper_is_named(book):
    assert not hidden(book.root)
    path = book.library / "depth_and_width/scratch.py"
    book.edit(path, r"\Z", "\n\ndef _helper(): ...\n")
    module = "dlbook_lib.feedforward.depth_and_width"
    assert hidden(book.root) == [f"{book.first} does not show {module}.scratch._helper"]
    book.edit_cell(book.first, "pytorch-square", "(in_torch.square)", "(len)")
    assert f"{book.first} does not show {module}.pytorch.square" in hidden(book.root)


def test_showing_a_module_shows_all_of_it(book):
    book.edit_cell(book.first, "pytorch-square", "(in_torch.square)", "(in_torch)")
    assert not hidden(book.root)


def unsolved(root):
    """Reference solutions that their chapter's solutions page does not show."""
    found, library = [], modules(root)
    for page in taught(root):
        module = f"{page.package}.exercises"
        sheets = [
            other
            for other in pages(root)
            if other.name == "solutions" and other.chapter == page.chapter
        ]
        seen = set().union(*(shown(root, sheet) for sheet in sheets))
        for name in defined(library[module]) if module in library else []:
            if name.startswith("solve_") and f"{module}.{name}" not in seen:
                found.append(f"no solutions page of {page.chapter} shows {name}")
    return found


def test_every_solution_is_shown(holds):
    holds(unsolved(ROOT))


def test_a_solution_that_is_not_shown_is_named(book):
    assert not unsolved(book.root)
    cell = "depth-and-width-1-solution"
    book.edit_cell(book.solutions, cell, "(depth_and_width.solve_cube)", "(len)")
    assert unsolved(book.root) == ["no solutions page of feedforward shows solve_cube"]


def ill_formed(root):
    """Cells that are too long, or that end a line with a semicolon."""
    found = []
    for page in pages(root):
        for cell in code_cells(read(root / page.path)):
            count = len(cell.source.splitlines())
            if count > LONGEST:
                where = f"{page.path}, cell {cell.id}"
                found.append(f"{where}: {count} lines, at most {LONGEST}; split it")
            if ends_with_semicolon(cell.source):
                found.append(f"{page.path}, cell {cell.id}: drop the semicolon")
    return found


def ends_with_semicolon(source):
    """Whether a line does; nbval would see another output than the reader."""
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    ends = (tokenize.NEWLINE, tokenize.COMMENT)
    return any(
        token.string == ";" and after.type in ends for token, after in pairwise(tokens)
    )


def test_cells_are_short_and_end_without_semicolons(holds):
    holds(ill_formed(ROOT))


def test_a_long_cell_and_a_semicolon_are_named(book):
    assert not ill_formed(book.root)
    book.edit_cell(book.first, "pytorch-use", "print(x.grad)", "print(x.grad);  # ;")
    book.edit_cell(book.second, "pytorch-use", "print(x.grad)", "x\n" * 25)
    long, semicolon = sorted(ill_formed(book.root))
    assert "cell pytorch-use: 27 lines" in long
    assert semicolon == f"{book.first}, cell pytorch-use: drop the semicolon"


def bad_figures(root):
    """Figures without alternative text or caption, and cells with two of them."""
    found = []
    for page in pages(root):
        for cell, body in cell_trees(root, page):
            where = f"{page.path}, cell {cell.id}"
            made = list(calls(body, "show", "live"))
            if len(made) > 1:
                found.append(f"{where}: {len(made)} figures; give each its own cell")
            for call in made:
                given = {word.arg for word in call.keywords}
                missing = sorted({"alt", "caption"} - given)
                if missing:
                    found.append(f"{where}: a figure without {' and '.join(missing)}")
    return found


def test_figures_have_alternative_text_and_a_caption(holds):
    holds(bad_figures(ROOT))


def test_a_figure_without_alternative_text_is_named(book):
    assert not bad_figures(book.root)
    book.edit_cell(book.first, "tangent", "alt=", "alternative=")
    assert bad_figures(book.root) == [
        f"{book.first}, cell tangent: a figure without alt"
    ]
    book.edit_cell(book.first, "tangent", "live(\n", "figures.show(None)\nlive(\n")
    assert f"{book.first}, cell tangent: 2 figures; give each its own cell" in (
        bad_figures(book.root)
    )


BEHIND_OTHERS = {"dlbook_lib.common.output", "dlbook_lib.common.controls"}


def unmet_helpers(root):
    """Modules of `common` that the how-to-read page does not import."""
    (page,) = (page for page in pages(root) if page.name == "how_to_read")
    used = set().union(*(imports(body) for _, body in cell_trees(root, page)))
    parts = [name.split(".") for name in modules(root)]
    helpers = {".".join(part[:3]) for part in parts if part[1:2] == ["common"]}
    return [
        f"{page.path} does not import {name}"
        for name in sorted(helpers - BEHIND_OTHERS - {"dlbook_lib.common"})
        if not any(each == name or each.startswith(f"{name}.") for each in used)
    ]


def test_the_how_to_read_page_meets_every_helper(holds):
    holds(unmet_helpers(ROOT))


def test_a_helper_that_is_not_met_is_named(book):
    path = book.root / "book/how_to_read.ipynb"
    path.write_text((book.root / book.first).read_text("utf-8"), "utf-8")
    book.edit("_toc.yml", "book/notation", "book/how_to_read")
    assert not unmet_helpers(book.root)
    book.edit_cell("book/how_to_read.ipynb", "imports", "common.checks", "common.rng")
    assert unmet_helpers(book.root) == [
        "book/how_to_read.ipynb does not import dlbook_lib.common.checks"
    ]

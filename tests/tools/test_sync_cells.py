"""Copied cells are filled from the library, and a difference is named."""

import pytest
from nbformat import v4

from tools import sync_cells
from tools.execution.notebook import read, write

LIBRARY = '''\
"""A module."""

import functools

LIMIT = 3
START, STOP = 0, 1


@functools.cache
def half(x):
    """Half of x.

    >>> half(4)
    2.0
    """
    # exact in binary
    return x / 2


class Line:
    """A line."""

    slope: float

    def __call__(self, x):
        """The height at x."""

        def inner(z):
            "Not in the cell."
            return z

        return inner(x) * self.slope


def later():
    """Nothing but a docstring."""
'''
FILE = "dlbook_lib/one/page.py"


@pytest.fixture
def root(tmp_path):
    """A book of one page with one copied cell."""
    (tmp_path / "_toc.yml").write_text("root: a/page\n")
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / FILE).write_text(LIBRARY)
    (tmp_path / "a").mkdir()
    cells = [
        v4.new_markdown_cell("# Éclair", id="title"),
        v4.new_code_cell("x = 1", id="plain"),
        v4.new_code_cell(f"# {FILE} :: half, Line", id="copy"),
    ]
    write(tmp_path / "a/page.ipynb", v4.new_notebook(cells=cells))
    return tmp_path


def source(root):
    return read(root / "a/page.ipynb").cells[2].source


FILLED = f"""\
# {FILE} :: half, Line
@functools.cache
def half(x):
    # exact in binary
    return x / 2


class Line:
    slope: float

    def __call__(self, x):
        def inner(z):
            return z

        return inner(x) * self.slope"""


def test_cells_are_filled_without_docstrings(root, capsys):
    assert sync_cells.main([], root) == 0
    assert source(root) == FILLED
    assert capsys.readouterr().out == "filled a/page.ipynb\n"


def test_nothing_else_changes(root):
    path = root / "a/page.ipynb"
    before = path.read_text("utf-8").splitlines()
    sync_cells.main([], root)
    after = path.read_text("utf-8")
    assert after.endswith("}\n")
    assert [line for line in after.splitlines() if line in before] == [
        line for line in before if ":: half, Line" not in line
    ]
    assert sync_cells.main([], root) == 0
    assert path.read_text("utf-8") == after


@pytest.mark.parametrize(
    ("names", "body"),
    [
        ("LIMIT", "LIMIT = 3"),
        ("LIMIT, START", "LIMIT = 3\nSTART, STOP = 0, 1"),
        ("START, STOP", "START, STOP = 0, 1"),
        ("later", 'def later():\n    """Nothing but a docstring."""'),
        (
            "LIMIT, later",
            'LIMIT = 3\n\n\ndef later():\n    """Nothing but a docstring."""',
        ),
    ],
)
def test_constants_and_empty_bodies(root, names, body):
    assert (
        sync_cells.filled(root, f"# {FILE} :: {names}")
        == f"# {FILE} :: {names}\n{body}"
    )


def edit(root, old, new):
    notebook = read(root / "a/page.ipynb")
    assert old in notebook.cells[2].source
    notebook.cells[2].source = notebook.cells[2].source.replace(old, new)
    write(root / "a/page.ipynb", notebook)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("x / 2", "x / 3", "half differs from dlbook_lib/one/page.py"),
        ("self.slope", "2", "Line differs"),
        ("@functools.cache\n", "", "half differs"),
        ("half, Line", "half", "Line is not named in its first line"),
        ("half, Line", "half, Line, Curve", "dlbook_lib/one/page.py has no Curve"),
        ("half, Line", "half, Line, later", "later is not filled in"),
        ("one/page.py", "two/page.py", "there is no dlbook_lib/two/page.py"),
        ("return z", "return (", "it does not parse"),
    ],
)
def test_a_difference_is_named_with_its_repair(root, capsys, old, new, said):
    sync_cells.main([], root)
    assert sync_cells.main(["--check"], root) == 0
    edit(root, old, new)
    capsys.readouterr()
    assert sync_cells.main(["--check"], root) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("a/page.ipynb, cell copy: ")
    assert said in printed
    assert printed.endswith("; run: python -m tools.sync_cells a/page.ipynb\n")


def test_docstrings_comments_and_spacing_are_no_difference(root):
    sync_cells.main([], root)
    edit(root, "    # exact in binary\n", '    """Half."""\n\n')
    assert sync_cells.main(["--check"], root) == 0


def test_what_the_library_has_not_is_named(root):
    edit(root, "half, Line", "half, Curve")
    with pytest.raises(SystemExit, match=r"cell copy: # .* Curve\n .*no 'Curve'"):
        sync_cells.main([], root)


def test_one_page_may_be_chosen(root):
    with pytest.raises(ValueError, match="no page is called 'b'"):
        sync_cells.main(["b"], root)
    assert sync_cells.main(["a/page.ipynb"], root) == 0
    assert source(root) == FILLED

"""The bootstrap cell: one for all pages, active on Colab alone."""

import importlib.util
import subprocess
import sys
import tomllib
import types

import pytest
from nbformat import v4

from tools import stamp
from tools.execution.notebook import read, write
from tools.pages import ROOT

URL = "https://example.org/deep/book"
CONFIG = "repository:\n  url: {url}\n  branch: {branch}\n"


@pytest.fixture
def root(tmp_path):
    """A book of two pages, one with a stale bootstrap cell."""
    (tmp_path / "_config.yml").write_text(CONFIG.format(url=URL + "/", branch="main"))
    (tmp_path / "_toc.yml").write_text("root: one\nchapters:\n- file: two\n")
    for name in ("one", "two"):
        cells = [
            v4.new_markdown_cell("# Title", id="title"),
            v4.new_code_cell("old", id="bootstrap", execution_count=1),
            v4.new_code_cell("2 + 2", id="sum"),
        ]
        write(tmp_path / f"{name}.ipynb", v4.new_notebook(cells=cells))
    return tmp_path


@pytest.fixture
def run(monkeypatch):
    """Run the cell with these packages missing; what it gives to subprocess.run."""

    def run(source, missing, colab):
        calls = []
        monkeypatch.setattr(
            subprocess, "run", lambda command, check: calls.append((command, check))
        )
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if name in missing else name
        )
        if colab:
            monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("colab"))
        exec(compile(source, "bootstrap", "exec"), {})
        return calls

    return run


def test_colab_installs_the_library_and_only_what_is_missing(root, run, capsys):
    missing = {"dlbook_lib", "mnist1d"}
    ((command, check),) = run(stamp.bootstrap(root), missing, colab=True)
    assert command[:3] == [sys.executable, "-m", "pip"]
    assert "--no-deps" in command
    assert command[-2:] == [f"dlbook_lib @ git+{URL}@main", "mnist1d"]
    assert check is True
    assert capsys.readouterr().out == ""


def test_colab_runs_nothing_when_nothing_is_missing(root, run):
    assert run(stamp.bootstrap(root), set(), colab=True) == []


def test_elsewhere_it_does_nothing(root, run, capsys):
    assert run(stamp.bootstrap(root), {"dlbook_lib", "mnist1d"}, colab=False) == []
    assert capsys.readouterr().out == ""


def test_every_import_of_the_library_is_there_after_the_cell():
    """What the library requires and Colab's image has not is in the cell's list."""
    on_colab = {
        "ipython",
        "ipywidgets",
        "matplotlib",
        "numpy",
        "pygments",
        "scikit-learn",
        "scipy",
        "torch",
    }
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    project = tomllib.loads(text)["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {need.partition(">=")[0] for group in groups for need in group}
    assert all(f'"{name}"' in stamp.CELL for name in names - on_colab)


def test_the_cell_is_short(root):
    assert len(stamp.bootstrap(root).splitlines()) <= 12


def test_stale_cells_are_named_then_stamped(root, capsys):
    assert stamp.main(["--check"], root) == 1
    assert capsys.readouterr().out == (
        "one.ipynb: stale bootstrap cell; run: python -m tools.stamp\n"
        "two.ipynb: stale bootstrap cell; run: python -m tools.stamp\n"
    )
    assert stamp.main([], root) == 0
    assert capsys.readouterr().out == "stamped one.ipynb\nstamped two.ipynb\n"
    _, cell, other = read(root / "one.ipynb").cells
    assert (cell.source, cell.execution_count) == (stamp.bootstrap(root), 1)
    assert other.source == "2 + 2"
    assert stamp.main(["--check"], root) == 0
    assert stamp.stamp(root) == []


def test_another_address_makes_every_cell_stale(root):
    stamp.stamp(root)
    (root / "_config.yml").write_text(CONFIG.format(url=URL, branch="next"))
    assert len(stamp.problems(root)) == 2


def test_a_page_without_the_cell_is_named(root):
    notebook = read(root / "two.ipynb")
    notebook.cells.pop(1)
    write(root / "two.ipynb", notebook)
    assert "two.ipynb: its first code cell must have id bootstrap" in stamp.problems(
        root
    )


def test_a_configuration_without_address_is_refused(root):
    (root / "_config.yml").write_text("title: Book\n")
    with pytest.raises(
        SystemExit, match=r"give repository\.url and repository\.branch"
    ):
        stamp.bootstrap(root)

"""A page is laid out complete and true; a bad name gets a sentence."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml

from tools import new_page, stamp, sync_cells
from tools.execution.notebook import read
from tools.pages import ROOT, entries, pages

NEW = "dlbook_lib/convolutional"
TOC = """\
format: jb-book
root: book/welcome
parts:
  - caption: Start here
    chapters:
      - file: book/notation
  - caption: Optimization
    chapters:
      - file: chapters/03_optimization/sgd
      - file: chapters/03_optimization/solutions
  - caption: Reference
    chapters:
      - file: book/glossary
"""


@pytest.fixture
def root(tmp_path):
    """A book with a syllabus and a library, but without a page."""
    (tmp_path / "_toc.yml").write_text(TOC)
    shutil.copy(ROOT / "_config.yml", tmp_path)
    (tmp_path / "book").mkdir()
    shutil.copy(ROOT / "book/syllabus.yml", tmp_path / "book")
    return tmp_path


def test_all_parts_are_laid_out(root):
    paths = new_page.lay_out(root, "convolutional/pooling")
    assert [str(path) for path in paths] == [
        "chapters/04_convolutional/pooling.ipynb",
        "chapters/04_convolutional/solutions.ipynb",
    ]
    page, solutions = pages(root)
    assert [page.path, solutions.path] == paths
    package, tests = root / "dlbook_lib/convolutional/pooling", root / page.tests
    parts = ("scratch.py", "pytorch.py", "exercises.py")
    assert {path.name for path in package.iterdir()} == {"__init__.py", *parts}
    assert {path.name for path in tests.iterdir()} == {f"test_{name}" for name in parts}
    assert sync_cells.main(["--check"], root) == 0
    assert stamp.problems(root) == []
    about = read(root / page.path).metadata.dlbook
    assert about == {"minutes": 25, "builds_on": [], "covers": {}, "draft": True}


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("optimization/minibatches", "book/notation", "chapters/03_optimization/sgd"),
        ("optimization/momentum", "chapters/03_optimization/sgd", "chapters/03_opt"),
        ("03_optimization/momentum", "chapters/03_optimization/sgd", "chapters/03_opt"),
        ("feedforward/xor", "book/notation", "chapters/01_feedforward/solutions"),
        ("frontier/autoencoders", "chapters/03_", "chapters/08_frontier/solutions"),
    ],
)
def test_the_contents_get_it_where_the_syllabus_has_it(root, name, before, after):
    page = new_page.plan(root, name)
    new_page.enter(root, page)
    order = entries(root)
    at = order.index(f"chapters/{page.folder}/{page.page}")
    assert order[at - 1].startswith(before)
    assert order[at + 1].startswith(after)
    assert order[0] == "book/welcome"
    assert order[-1] == "book/glossary"


def test_the_contents_keep_their_form(root):
    new_page.enter(root, new_page.plan(root, "optimization/momentum"))
    line = "      - file: chapters/03_optimization/momentum\n"
    assert (root / "_toc.yml").read_text().replace(line, "") == TOC


def test_a_second_page_joins_the_chapter(root):
    new_page.lay_out(root, "optimization/momentum")
    before = (root / "dlbook_lib/optimization/__init__.py").read_text()
    new_page.lay_out(root, "optimization/minibatches")
    assert (root / "dlbook_lib/optimization/__init__.py").read_text() == before
    sheet = read(root / "chapters/03_optimization/solutions.ipynb")
    ids = [cell.id for cell in sheet.cells]
    assert "momentum-1" in ids
    assert "minibatches-1" in ids
    assert ids.count("bootstrap") == 1


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("feedforward/depth_and_widht", "feedforward/depth_and_width"),
        ("convolutional/xor", "for example"),
        ("pooling", "convolutional/pooling"),
        ("../elsewhere", "for example"),
    ],
)
def test_a_bad_name_gets_the_nearest(root, name, nearest):
    with pytest.raises(SystemExit, match=f"plans no page '{name}'.*{nearest}"):
        new_page.lay_out(root, name)
    assert (root / "_toc.yml").read_text() == TOC


def test_an_existing_page_is_left_alone(root):
    new_page.lay_out(root, "convolutional/pooling")
    scratch = root / "dlbook_lib/convolutional/pooling/scratch.py"
    scratch.write_text("mine\n")
    with pytest.raises(SystemExit, match=r"pooling\.ipynb exists; edit it"):
        new_page.lay_out(root, "convolutional/pooling")
    assert scratch.read_text() == "mine\n"


def test_a_page_is_laid_out_around_its_package(root):
    package = root / "dlbook_lib/convolutional/pooling"
    package.mkdir(parents=True)
    for name in ("__init__.py", "scratch.py", "pytorch.py"):
        (package / name).write_text(f'"""Mine: {name}."""\n')
    path, solutions = new_page.lay_out(root, "convolutional/pooling")
    assert (package / "scratch.py").read_text() == '"""Mine: scratch.py."""\n'
    assert [p.name for p in (root / "tests/convolutional/pooling").iterdir()] == [
        "test_exercises.py"
    ]
    source = "\n".join(cell.source for cell in read(root / path).cells)
    assert "show_source(in_numpy)" in source
    assert "show_source(in_torch)" in source
    assert "solve_cube" in "\n".join(c.source for c in read(root / solutions).cells)


def test_usage_is_told():
    with pytest.raises(SystemExit, match=r"Usage: python -m tools\.new_page"):
        new_page.main([])


def in_book(root, *command):
    env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (root, ROOT)))}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=root,
        env=env,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_what_is_laid_out_is_formatted_and_its_tests_pass(root):
    new_page.lay_out(root, "convolutional/pooling")
    for name in ("dlbook_lib/__init__.py", "dlbook_lib/common"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, root / name)
    shutil.copy(ROOT / "pyproject.toml", root)
    for command in (["check"], ["format", "--check"]):
        run = in_book(root, "ruff", *command, "chapters", "tests", NEW)
        assert run.returncode == 0, run.stdout
    run = in_book(root, "pytest", "-q", "tests", NEW)
    assert run.returncode == 0, run.stdout
    assert "8 passed" in run.stdout


@pytest.mark.pages
def test_what_is_laid_out_runs(root, capfd):
    for name in ("dlbook_lib/__init__.py", "dlbook_lib/common"):
        (root / name).parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, root / name)
    assert new_page.main(["convolutional/pooling"], root) == 0
    assert "[2/2] chapters/04_convolutional/" in capfd.readouterr().out
    cells = read(root / "chapters/04_convolutional/pooling.ipynb").cells
    counts = [cell.execution_count for cell in cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert yaml.safe_load((root / "_toc.yml").read_text())["parts"][2]["caption"] == (
        "Convolutional networks"
    )

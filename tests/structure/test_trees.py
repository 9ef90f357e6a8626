"""Who knows where a page's notebook is knows where its package and its tests are."""

import re

import pytest
import yaml

from tools import stamp
from tools.pages import ROOT, entries, pages
from tools.reading import packaged, taught

MODULES = ("__init__.py", "scratch.py", "pytorch.py")
OTHER_TESTS = {"common", "pages", "site", "structure", "tools", "colab"}


def missing(root):
    """What a page of the contents, or a package that waits for its page, lacks."""
    found = []
    for entry in entries(root):
        if sum((root / f"{entry}{end}").exists() for end in (".md", ".ipynb")) != 1:
            found.append(f"_toc.yml: {entry} is not one .md or .ipynb file")
    written = taught(root)
    for page in [*written, *(p for p in packaged(root) if p not in written)]:
        package = root / page.package.replace(".", "/")
        names = [*MODULES, "exercises.py"] if page in written else MODULES
        for path in [*(package / name for name in names), package.parent / MODULES[0]]:
            if not path.exists():
                found.append(f"{page.path} lacks {path.relative_to(root)}")
        if not list((root / page.tests).glob("test_*.py")):
            found.append(f"{page.path} lacks tests in {page.tests}")
    return found


def strays(root):
    """Notebooks that no page of the contents owns; code and tests without a plan."""
    notebooks = {page.path for page in pages(root)}
    packages = {page.package for page in packaged(root)}
    tests = {page.tests for page in packaged(root)}
    found = [
        path
        for path in (root / "chapters").rglob("*.ipynb")
        if path.relative_to(root) not in notebooks
        and ".ipynb_checkpoints" not in path.parts
    ]
    for init in (root / "dlbook_lib").glob("*/*/__init__.py"):
        name = ".".join(init.parent.relative_to(root).parts)
        if name not in packages and ".common." not in name:
            found.append(init.parent)
    for path in (root / "tests").glob("*/*/"):
        is_test = path.parent.name not in OTHER_TESTS and path.name != "__pycache__"
        if is_test and path.relative_to(root) not in tests:
            found.append(path)
    return [
        f"{path.relative_to(root)} belongs to no page of the book" for path in found
    ]


def test_the_trees_mirror_each_other(holds):
    holds(missing(ROOT) + strays(ROOT))


def test_missing_and_stray_parts_are_named(book):
    assert not missing(book.root) + strays(book.root)
    tests = book.root / "tests/feedforward"
    (tests / "depth_and_width").rename(tests / "depth")
    (book.root / book.library / "cost_functions/pytorch.py").unlink()
    (book.root / "book/glossary.md").unlink()
    package = book.root / "dlbook_lib/recurrent/gates"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('"""Gates."""\n')
    (book.root / book.first.with_name("draft.ipynb")).write_text("{}")
    assert missing(book.root) == [
        "_toc.yml: book/glossary is not one .md or .ipynb file",
        f"{book.first} lacks tests in tests/feedforward/depth_and_width",
        f"{book.second} lacks {book.library}/cost_functions/pytorch.py",
    ]
    assert strays(book.root) == [
        f"{path} belongs to no page of the book"
        for path in (
            book.first.with_name("draft.ipynb"),
            "dlbook_lib/recurrent/gates",
            "tests/feedforward/depth",
        )
    ]


def test_a_package_may_wait_for_its_page(book):
    package = book.root / "dlbook_lib/recurrent/gated_units"
    package.mkdir(parents=True)
    for path in (package.parent, package):
        (path / "__init__.py").write_text('"""Gates."""\n')
    (package / "scratch.py").write_text('"""Gates."""\n')
    assert not strays(book.root)
    page = "chapters/05_recurrent/gated_units.ipynb"
    assert missing(book.root) == [
        f"{page} lacks dlbook_lib/recurrent/gated_units/pytorch.py",
        f"{page} lacks tests in tests/recurrent/gated_units",
    ]


def misnumbered(root):
    """Chapter folders whose numbers do not rise with `_toc.yml`, or not as planned."""
    folders = [e.split("/")[1] for e in entries(root) if e.startswith("chapters/")]
    folders = list(dict.fromkeys(folders))
    syllabus = yaml.safe_load((root / "book/syllabus.yml").read_text("utf-8"))
    found = [
        f"chapters/{name} is not called as in book/syllabus.yml"
        for name in folders
        if name not in syllabus["chapters"] or not re.fullmatch(r"\d\d_[a-z_]+", name)
    ]
    if folders != sorted(folders):
        found.append(f"_toc.yml has the chapters in the order {', '.join(folders)}")
    return found


def test_chapter_numbers_follow_the_contents(holds):
    holds(misnumbered(ROOT))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("01_feedforward", "01_feed_forward", "chapters/01_feed_forward is not called"),
        (
            r"(?=      - file: chapters)",
            "      - file: chapters/04_convolutional/x\n",
            "",
        ),
    ],
)
def test_a_wrong_chapter_number_is_named(book, old, new, sentence):
    assert not misnumbered(book.root)
    text = (book.root / "_toc.yml").read_text("utf-8")
    (book.root / "_toc.yml").write_text(re.sub(old, new, text, count=1), "utf-8")
    sentence = sentence or "_toc.yml has the chapters in the order 04_convolutional, 01"
    assert misnumbered(book.root)[0].startswith(sentence)


def test_bootstrap_cells_equal_the_stamp(holds):
    holds(stamp.problems(ROOT))


def test_a_stale_bootstrap_cell_is_named(book):
    assert not stamp.problems(book.root)
    book.edit("_config.yml", r"branch: \S+", "branch: other")
    assert len(stamp.problems(book.root)) == len(pages(book.root))
    assert "run: python -m tools.stamp" in stamp.problems(book.root)[0]

"""`make book` on a tiny book: what it runs, what it renders, how it fails."""

import re

import pytest
import yaml

from tools import build
from tools.execution.store import Store
from tools.pages import ROOT

PAGES = [f"chapters/01_tiny/{name}" for name in ("alpha", "beta", "gamma")]
ALPHA, BETA, GAMMA = PAGES
UUID = re.compile(r"<i>([0-9a-f-]{36})</i>")
pytestmark = pytest.mark.pages


def drawn(book):
    """The number that alpha drew at random: in the store and in the site."""
    figure = Store(book.root).executed(ALPHA).cells[-1].outputs[0]
    html = (book.root / f"_build/html/{ALPHA}.html").read_text("utf-8")
    return UUID.findall(figure.data["text/html"]), UUID.findall(html)


def runs(book):
    """How often the cells of alpha have been executed."""
    return len((book.root / "chapters/01_tiny/runs.txt").read_text().splitlines())


def test_the_site_shows_the_validated_run_and_nothing_runs_twice(tiny_book, capfd):
    before = runs(tiny_book)
    assert build.main([], tiny_book.root) == 0, capfd.readouterr()
    in_store, in_site = drawn(tiny_book)
    assert in_store == in_site
    assert runs(tiny_book) == before  # neither nbval nor Sphinx ran it again
    html = (tiny_book.root / f"_build/html/{BETA}.html").read_text("utf-8")
    assert 'href="alpha.html#fig-tiny"' in html
    assert "Fig. 1" in html
    assert "3 pages: 0 executed, 3 unchanged" in capfd.readouterr().out

    assert build.main([], tiny_book.root) == 0
    told = capfd.readouterr().out
    assert "unchanged, not built" in told
    assert "make serve" in told

    Store(tiny_book.root).forget(ALPHA)
    assert build.main([], tiny_book.root) == 0
    again = drawn(tiny_book)
    assert again[0] == again[1] != in_store
    assert runs(tiny_book) == before + 1
    told = capfd.readouterr().out
    assert "[1/1] chapters/01_tiny/alpha" in told
    assert "3 pages: 1 executed, 2 unchanged" in told


def test_a_part_is_run_and_the_rest_shows_stored_text(tiny_book, capfd):
    before = runs(tiny_book)
    tiny_book.replace("dlbook_lib/tiny/alpha.py", '"""Twice x."""', '"""Double."""')
    assert build.main(["beta"], tiny_book.root) == 0, capfd.readouterr()
    assert runs(tiny_book) == before
    html = (tiny_book.root / f"_build/html/{ALPHA}.html").read_text("utf-8")
    assert "Figure: a line" in html
    assert not UUID.search(html)
    assert [Store(tiny_book.root).record(page) is None for page in PAGES] == [
        True,
        False,
        False,
    ]
    told = capfd.readouterr().out
    assert "3 pages: 1 executed, 1 unchanged, 1 with stored text" in told


def test_a_warning_of_sphinx_fails_every_time(tiny_book, capfd):
    assert build.main([], tiny_book.root) == 0
    tiny_book.replace(f"{GAMMA}.ipynb", "{numref}", "{nonsense}")
    for _ in range(2):
        assert build.main([], tiny_book.root) == 1
        told = capfd.readouterr()
        assert "gamma.ipynb" in told.out
        assert "nonsense" in told.out
        assert "_build/site.log" in told.err


def test_a_failing_page_stops_the_build(tiny_book, capfd):
    tiny_book.edit("gamma", "call", source="nowhere")
    assert build.main([], tiny_book.root) == 1
    told = capfd.readouterr()
    assert f"{GAMMA}, code cell 2 (call): nowhere" in told.out
    assert "it raised: NameError" in told.out
    assert f"make book PAGES={GAMMA}" in told.out
    assert not (tiny_book.root / "_build/html").exists()


def test_a_stale_copied_cell_stops_the_build_before_anything_runs(tiny_book, capfd):
    tiny_book.replace("dlbook_lib/tiny/alpha.py", "return 2 * x", "return x + x")
    assert build.main([], tiny_book.root) == 1
    told = capfd.readouterr()
    assert f"{ALPHA}.ipynb, cell copy: double differs" in told.out
    assert "python -m tools.sync_cells" in told.out
    assert Store(tiny_book.root).record(ALPHA)


def test_a_page_that_does_not_exist_is_answered_with_the_nearest(tiny_book, capfd):
    assert build.main(["chapters/01_tiny/gama"], tiny_book.root) == 1
    told = capfd.readouterr().err
    assert "no page is called 'chapters/01_tiny/gama'; nearest: " in told
    assert GAMMA in told


def test_sphinx_is_told_to_execute_nothing_and_what_to_show():
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    assert config["execute"]["execute_notebooks"] == "off"
    assert "tools.execution.render" in config["sphinx"]["config"]["extensions"]

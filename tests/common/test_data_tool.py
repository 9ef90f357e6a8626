"""`tools.fetch_data`, and that what is written from the pins is up to date."""

import re

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from dlbook_lib.common.data import FetchError
from dlbook_lib.common.data.carriers import DATASETS
from tools import fetch_data
from tools.pages import ROOT

REPAIR = "run python -m tools.fetch_data --write"


@pytest.fixture
def loaded(monkeypatch, tmp_path):
    """The names that are loaded, in place of loading them; the cache is empty."""
    names = []

    def load(name):
        names.append(name)
        if name == "names":
            raise FetchError("names: no network")
        return {"file": np.zeros(2_500_000, np.uint8)}

    monkeypatch.setattr(fetch_data, "load", load)
    monkeypatch.setenv("DLBOOK_DATA", str(tmp_path / "cache"))
    return names


def page(root, *sources):
    cells = [new_code_cell(source) for source in sources]
    notebook = new_notebook(cells=[new_markdown_cell("`data.cmudict()`"), *cells])
    nbformat.write(notebook, root / "page.ipynb")
    return "page"


def test_requirements_data_is_written_from_the_pins():
    written = (ROOT / "requirements-data.txt").read_text("utf-8")
    assert written == fetch_data.pins(), REPAIR


def test_the_page_on_data_is_written_from_the_pins():
    written = (ROOT / "book/data.md").read_text("utf-8")
    assert fetch_data.tables() in written, REPAIR
    assert fetch_data.TABLES.search(written), "the page has lost its two marks"


def test_the_page_on_data_names_every_loader():
    from dlbook_lib.common import data

    written = (ROOT / "book/data.md").read_text("utf-8")
    helpers = {"FetchError", "folder", "is_cached"}
    for name in set(data.__all__) - helpers:
        assert f"| `data.{name}(" in written, name


def test_write_replaces_what_is_stale(tmp_path):
    (tmp_path / "book").mkdir()
    page = tmp_path / "book/data.md"
    page.write_text("before\n\n% carriers\n\nold\n\n% end of carriers\n\nafter\n")
    for _ in range(2):
        fetch_data.write(tmp_path)
        text = page.read_text("utf-8")
        assert text.startswith("before\n\n% carriers\n\n| data set |")
        assert text.endswith(" |\n\n% end of carriers\n\nafter\n")
        assert "old" not in text
    assert (tmp_path / "requirements-data.txt").read_text() == fetch_data.pins()


def test_hashes_are_hashes():
    for each in DATASETS.values():
        for expected in each.payload.values():
            assert re.fullmatch("[0-9a-f]{64}", expected.sha256)


def test_what_a_page_uses(tmp_path):
    name = page(tmp_path, "x, y = data.digits()", "s = data.mnist()\ndata.co2()")
    assert fetch_data.used_by(tmp_path, name) == {"mnist", "co2"}


def test_what_the_library_behind_a_page_uses(tmp_path):
    package = tmp_path / "dlbook_lib/toy"
    package.mkdir(parents=True)
    (package / "exercises.py").write_text("def f():\n    return data.names()\n")
    name = page(tmp_path, "from dlbook_lib.toy import exercises")
    assert fetch_data.used_by(tmp_path, name) == {"names"}


def test_fetch_loads_what_pages_use(tmp_path, loaded, capsys):
    fetch_data.fetch(tmp_path, [page(tmp_path, "data.mnist()", "data.co2()")])
    assert loaded == ["co2", "mnist"]
    assert re.fullmatch(
        r"  co2: 2\.5 MB fetched, \d+\.\d s\n  mnist: 2\.5 MB fetched, \d+\.\d s\n",
        capsys.readouterr().out,
    )


def test_the_command_line(loaded, capsys):
    assert fetch_data.main(["mnist", "co2"]) == 0
    assert loaded == ["mnist", "co2"]
    assert "There is no data set mist; try mnist, " in fetch_data.main(["mist"])
    assert fetch_data.main(["mnist", "names"]) == "names: no network"
    assert fetch_data.main([]) == "names: no network"

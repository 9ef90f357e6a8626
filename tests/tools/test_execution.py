"""When a page runs again, what a run leaves behind, and how a failure is told."""

import json

import pytest
from nbformat.v4 import new_output

from tools import execute
from tools.execution.key import library_files
from tools.execution.notebook import read
from tools.execution.run import run_pages, stale
from tools.execution.store import Store

PAGES = [f"chapters/01_tiny/{name}" for name in ("alpha", "beta", "gamma")]
ALPHA, BETA, GAMMA = PAGES
pytestmark = pytest.mark.pages


def test_a_page_whose_run_holds_is_not_stale(tiny_book):
    assert stale(tiny_book.root, PAGES) == []


@pytest.mark.parametrize(
    ("path", "old", "new", "again"),
    [
        ("dlbook_lib/tiny/alpha.py", "return 2 * x", "return x + x", [ALPHA, BETA]),
        ("dlbook_lib/tiny/beta.py", "double(double(x))", "4 * x", [BETA]),
        ("dlbook_lib/tiny/gamma.py", "return -x", "return 0 - x", [GAMMA]),
        (
            "dlbook_lib/common/output.py",
            "def display_both",
            "\ndef display_both",
            [GAMMA],
        ),
        ("dlbook_lib/tiny/__init__.py", "One", "1", PAGES),
        ("requirements.txt", "numpy", "numpy==2", PAGES),
        (f"{BETA}.ipynb", "quadruple(1)", "quadruple(2)", [BETA]),
        (f"{BETA}.ipynb", '"4"', '"5"', [BETA]),
        (f"{BETA}.ipynb", "# Page beta", "# A page", []),
    ],
)
def test_a_change_reaches_exactly_the_pages_that_depend_on_it(
    tiny_book, path, old, new, again
):
    tiny_book.replace(path, old, new)
    assert stale(tiny_book.root, PAGES) == again


def test_a_style_sheet_counts_with_its_package(tiny_book):
    tiny_book.write("dlbook_lib/tiny/book.mplstyle", "lines.linewidth: 2\n")
    assert stale(tiny_book.root, PAGES) == PAGES


def test_data_pins_count(tiny_book):
    tiny_book.write("requirements-data.txt", "mnist==1\n")
    assert stale(tiny_book.root, PAGES) == PAGES


def test_imports_are_followed_through_functions(tiny_book):
    files = library_files(tiny_book.root, read(tiny_book.notebook("beta")))
    names = [path.relative_to(tiny_book.root).as_posix() for path in files]
    assert names == [
        "dlbook_lib/__init__.py",
        "dlbook_lib/tiny/__init__.py",
        "dlbook_lib/tiny/alpha.py",
        "dlbook_lib/tiny/beta.py",
    ]


def test_a_run_leaves_outputs_and_a_record(tiny_book):
    store = Store(tiny_book.root)
    alpha, gamma = store.record(ALPHA), store.record(GAMMA)
    assert (alpha["figures"], alpha["live"], alpha["claims"]) == (1, 0, [])
    assert [cell["id"] for cell in gamma["cells"]] == ["bootstrap", "call", "claim"]
    assert gamma["claims"][0]["name"] == "gamma.value"
    assert gamma["claims"][0]["value"] == -3
    assert gamma["claims"][0]["cell"] == "claim"
    figure = store.executed(ALPHA).cells[-1].outputs[0]
    assert figure.metadata.dlbook_figure.name == "fig-tiny"
    assert "text/html" in figure.data


def test_stored_notebooks_hold_text_only_and_numbered_cells(tiny_book):
    cells = read(tiny_book.notebook("alpha")).cells
    assert cells[-1].outputs[0].data == {"text/plain": "Figure: a line"}
    assert cells[-1].outputs[0].metadata == {}
    assert [cell.execution_count for cell in cells[1:]] == [1, 2, 3, 4, 5]
    assert cells[-2].outputs[0].text == "4 1\n"  # kernels compute with one thread


def test_executing_again_changes_no_byte(tiny_book):
    before = tiny_book.notebook("alpha").read_bytes()
    assert execute.main([ALPHA], tiny_book.root) == 0
    assert tiny_book.notebook("alpha").read_bytes() == before
    assert stale(tiny_book.root, PAGES) == []


def test_execute_leaves_a_page_that_raises_as_it_is(tiny_book, capfd):
    tiny_book.edit("beta", "call", source="print('new')\nnowhere")
    before = tiny_book.notebook("beta").read_bytes()
    assert execute.main([BETA], tiny_book.root) == 1
    assert tiny_book.notebook("beta").read_bytes() == before
    told = capfd.readouterr().out
    assert f"{BETA}, code cell 2 (call): print('new')" in told
    assert f"make execute PAGES={BETA}" in told


BAD_CELLS = {
    "raising": ("nowhere", [], 2, "it raised: NameError: name 'nowhere' is not"),
    "differing": ("print(1 + 1)", ["3"], 2, "its output differs"),
    "silent": ("1 + 1", [], 2, "its output differs"),
    "claim": (
        "from dlbook_lib.common.claims import claim\n"
        'claim("a.b", 3, (1, 2), "units", "arithmetic")',
        ["Claim a.b: FAILED. Band: 1 to 2 units. Source: arithmetic."],
        2,
        "a claim is out of its band: ClaimError: claim a.b: measured 3 units",
    ),
    "slow": ("import time\ntime.sleep(60)", [], 2, "it timed out"),
    "dying": ("import os\nos._exit(1)", [], 2, "the kernel died"),
    "uncounted": ("print(1)", [], None, "it has no execution count"),
    "skipped": ("# NBVAL_SKIP\nnowhere", [], 2, "an NBVAL marker"),
    "ignored": ("# NBVAL_IGNORE_OUTPUT\nprint(1)", [], 2, "an NBVAL marker"),
}


def test_each_failure_names_page_cell_and_what_to_do(tiny_book, capfd):
    names = {name: f"chapters/01_tiny/{name}" for name in BAD_CELLS}
    for name, (source, printed, count, _) in BAD_CELLS.items():
        page = tiny_book.notebook(name)
        page.write_bytes(tiny_book.notebook("beta").read_bytes())
        outputs = [new_output("stream", text=text) for text in printed]
        tiny_book.edit(
            name, "call", source=source, outputs=outputs, execution_count=count
        )
        record = tiny_book.root / f"_build/execution/{names[name]}.json"
        record.write_text(json.dumps({"key": "of an older run"}))
    assert not run_pages(tiny_book.root, list(names.values()), limit=3)
    told = capfd.readouterr().out
    for name, (source, _, _, what) in BAD_CELLS.items():
        start = told.index(f"{names[name]}, code cell 2 (call): {source.split()[0]}")
        story = told[start:].split("\n\n")[0]
        assert what in story, story
        assert (
            f"make execute PAGES={names[name]}" in story
            or "Repair" in story
            or (name == "claim" and "the band is part of the text" in story)
        ), story
        assert not Store(tiny_book.root).record(names[name])

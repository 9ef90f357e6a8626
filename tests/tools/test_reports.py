"""The book's pages about itself, built by Sphinx from a tiny book with two records."""

import json
import sys
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

ROOT = Path(__file__).resolve().parents[2]
XOR, ALGEBRA = "chapters/01_nets/xor", "chapters/01_nets/algebra"
PLAN = """
chapters: {01_nets: Networks, 02_rest: The rest}
pages:
  xor: {chapter: 01_nets, title: XOR, items: {A-1: Sum $x|y$, A-2: b}}
  algebra: {chapter: 01_nets, title: Algebra, items: {A-3: c}}
  later: {chapter: 02_rest, title: Still to come, items: {B-1: d}}
"""
INDEX = """# Index

```{claims-ledger}
```

```{timings}
```

```{coverage}
```

```{book-map}
The map's caption.
```

```{page-figure} chapters/01_nets/xor fig-xor-square
```

See {ref}`the loss <claim-xor.loss>`.
"""
CONF = """
extensions = ["myst_nb", "reports"]
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath"]
exclude_patterns = ["_build", "site"]
"""
CLAIM = {"unit": "nats", "source": "a_b | c"}
CLAIMS = [
    {"name": "xor.loss", "value": 0.25, "low": 0.2, "high": 0.3, "passed": True},
    {"name": "xor.exact", "value": 4, "low": 4, "high": 4, "passed": True},
    {"name": "xor.open", "value": None, "low": 1, "high": None, "passed": False},
]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def write_page(root, page, covers, **about):
    label = next(iter(covers.values()), "nowhere")
    cells = [nbformat.v4.new_markdown_cell(f"({label})=\n# Title of {page[-3:]}")]
    metadata = {"dlbook": {"covers": covers, **about}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    write(root / f"{page}.ipynb", nbformat.writes(notebook))


def write_record(root, page, seconds, claims=()):
    cells = [{"index": 1, "id": "a", "seconds": seconds, "first_line": "x = a | b"}]
    record = {"page": page, "key": "k", "seconds": seconds, "cells": cells}
    record |= {"finished": "2026-01-02T03:04:05", "figures": 1, "live": 0}
    record["claims"] = [CLAIM | claim for claim in claims]
    write(root / f"_build/execution/{page}.json", json.dumps(record))


def write_figure(root, page):
    metadata = {
        "dlbook_figure": {"name": "fig-xor-square", "caption": "Four *points*."}
    }
    output = nbformat.v4.new_output(
        "display_data", {"text/html": "<svg id='drawn'></svg>"}, metadata=metadata
    )
    cell = nbformat.v4.new_code_cell("show()", outputs=[output])
    notebook = nbformat.v4.new_notebook(cells=[cell])
    write(root / f"_build/execution/{page}.ipynb", nbformat.writes(notebook))


def build(root):
    """Build the tiny book; the index as soup, and what Sphinx warned of."""
    warnings = Path(root, "warnings.txt")
    with warnings.open("w", encoding="utf-8") as stream, docutils_namespace():
        app = Sphinx(
            srcdir=root,
            confdir=root,
            outdir=root / "site",
            doctreedir=root / "site/.doctrees",
            buildername="html",
            status=None,
            warning=stream,
        )
        app.build()
    soup = BeautifulSoup((root / "site/index.html").read_text("utf-8"), "html.parser")
    return soup, warnings.read_text("utf-8")


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "book/_ext")
    monkeypatch.delitem(sys.modules, "reports", raising=False)
    write(tmp_path / "conf.py", CONF)
    write(tmp_path / "book/syllabus.yml", PLAN)
    pages = f"```{{toctree}}\n/{XOR}\n/{ALGEBRA}\n```\n"
    write(tmp_path / "index.md", INDEX + pages)
    write_page(tmp_path, XOR, {"A-1": "sec-sum"})
    write_page(tmp_path, ALGEBRA, {"A-3": "sec-c"}, draft=True)
    write_record(tmp_path, ALGEBRA, 1.5)
    write_record(tmp_path, XOR, 3.25, CLAIMS)
    write_figure(tmp_path, XOR)
    return tmp_path


def rows(soup, caption):
    """Header and body cells of the table whose caption holds `caption`."""
    for table in soup.find_all("table"):
        if caption in table.caption.get_text():
            return [
                [cell.get_text(" ", strip=True) for cell in row.find_all(["th", "td"])]
                for row in table.find_all("tr")
            ]
    raise AssertionError(f"no table with caption {caption!r}")


def links(soup):
    return {a.get_text(" ", strip=True): a["href"] for a in soup.select("a[href]")}


def test_reports_of_an_executed_book(tiny):
    soup, warnings = build(tiny)
    assert not warnings
    words = soup.get_text(" ", strip=True)

    assert "3 claims on 1 pages, 1 of them out of band." in words
    ledger = rows(soup, "Claims of Title of xor")
    assert ledger[1:] == [
        ["xor.loss", "0.2 to 0.3 nats", "0.25", "in band", "a_b | c"],
        ["xor.exact", "exactly 4 nats", "4", "in band", "a_b | c"],
        ["xor.open", "at least 1 nats", "none", "out of band", "a_b | c"],
    ]
    assert links(soup)["xor.loss"] == f"{XOR}.html#claim-xor.loss"
    assert links(soup)["the loss"] == f"{XOR}.html#claim-xor.loss"

    assert "2 notebooks took 5 seconds in all" in words
    assert "The last of them ended on 2026-01-02." in words
    timing = ["Title of xor", "3.2", "1", "1", "0"]
    assert rows(soup, "Seconds per page")[1] == timing
    assert rows(soup, "slowest cells")[1:] == [
        ["xor", "x = a | b", "3.25"],
        ["algebra", "x = a | b", "1.50"],
    ]

    assert "1 of 4 items are done, on 1 of 3 pages." in words
    chapters = rows(soup, "Coverage by chapter")
    assert chapters[1:] == [
        ["Networks", "1 of 2", "1 of 3", ""],
        ["The rest", "0 of 1", "0 of 1", ""],
    ]
    page = rows(soup, "Title of xor: 1 of 2 items")
    assert [row[1] for row in page[1:]] == ["done", "planned"]
    assert page[2][0] == "A-2 · b"
    assert links(soup)["A-1"] == f"{XOR}.html#sec-sum"
    planned = rows(soup, "Planned pages")
    assert [row[1] for row in planned[1:]] == ["Algebra", "Still to come"]

    names = [svg["aria-label"] for svg in soup.select(".dl-map svg")]
    assert names[0] == "Chapter 1, Networks: 1 of 2 pages done"
    assert [a["href"] for a in soup.select(".dl-map a")] == [f"{XOR}.html"]

    assert soup.find(id="drawn")
    assert "Four points . (From Title of xor .)" in words


def test_reports_follow_new_records(tiny):
    directives = "```{claims-ledger}\n```\n\n```{timings}\n```\n"
    pages = f"```{{toctree}}\n/{XOR}\n/{ALGEBRA}\n```\n"
    write(tiny / "index.md", f"# Index\n\n{directives}\n{pages}")
    build(tiny)
    write_record(tiny, XOR, 7.0, CLAIMS[:2])
    soup, _ = build(tiny)
    assert "2 claims on 1 pages, all of them in band." in soup.get_text(" ", strip=True)
    assert rows(soup, "Seconds per page")[1][:2] == ["Title of xor", "7.0"]


def test_a_book_without_records_says_so(tiny):
    for path in (tiny / "_build/execution").rglob("*.*"):
        path.unlink()
    write(
        tiny / "index.md", (tiny / "index.md").read_text().replace("See {ref}", "See ")
    )
    soup, warnings = build(tiny)
    assert not warnings
    words = soup.get_text(" ", strip=True)
    assert words.count("No page was executed in this build") == 2
    assert f"The figure here comes from {XOR}" in words


def test_an_unknown_claim_is_a_warning(tiny):
    index = (tiny / "index.md").read_text().replace("claim-xor.loss", "claim-xor.lost")
    write(tiny / "index.md", index)
    _, warnings = build(tiny)
    assert "claim-xor.lost" in warnings


def test_a_label_that_a_page_lacks_is_a_warning(tiny):
    path = tiny / f"{XOR}.ipynb"
    path.write_text(path.read_text().replace("(sec-sum)=", "(sec-sun)="))
    _, warnings = build(tiny)
    assert "sec-sum" in warnings


def test_the_plan_is_whole():
    """Nine chapters, 60 pages, 634 items, each item once."""
    import yaml

    plan = yaml.safe_load((ROOT / "book/syllabus.yml").read_text("utf-8"))
    items = [item for page in plan["pages"].values() for item in page["items"]]
    assert len(plan["chapters"]) == 9
    assert len(plan["pages"]) == 60
    assert len(items) == len(set(items)) == 634
    order = [page["chapter"] for page in plan["pages"].values()]
    assert order == sorted(order)
    assert set(order) == set(plan["chapters"])

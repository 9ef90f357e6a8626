"""`make pdf`: one file of the whole book, with bookmarks and real text."""

import subprocess
import sys

from bs4 import BeautifulSoup
from pypdf import PdfReader

from tools.pages import ROOT


def titles(outline):
    for entry in outline:
        if isinstance(entry, list):
            yield from titles(entry)
        else:
            yield entry.title


def test_pdf_holds_the_book(site, browser, tmp_path):
    """In a process of its own: Playwright cannot run twice in one."""
    target = tmp_path / "book.pdf"
    subprocess.run([sys.executable, "-m", "tools.pdf", target], cwd=ROOT, check=True)
    reader = PdfReader(target)
    text = "\n".join(page.extract_text() for page in reader.pages)
    assert len(reader.pages) >= 10
    assert {"Notation", "Glossary", "Bibliography"} <= set(titles(reader.outline))
    assert "Skip to main content" not in text
    assert text.count("\\frac") <= listed(ROOT / "_build/single/book.html", "\\frac")
    assert reader.trailer["/Root"]["/MarkInfo"]["/Marked"]


def listed(page, word):
    """How often a word stands in the listings of a page, where LaTeX may be raw."""
    soup = BeautifulSoup(page.read_text("utf-8"), "html.parser")
    return sum(listing.get_text().count(word) for listing in soup.find_all("pre"))

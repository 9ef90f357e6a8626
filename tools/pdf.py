"""`make pdf`: the whole book as one PDF, printed by headless Chromium.

Usage: python -m tools.pdf [target.pdf]
"""

import os
import shutil
import sys
from pathlib import Path

from jupyter_book.sphinx import build_sphinx
from pypdf import PdfReader

from tools.pages import ROOT, entries

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
READY = "window.MathJax?.startup?.promise.then(() => document.fonts.ready)"
OPEN_ALL = "() => document.querySelectorAll('details').forEach(d => { d.open = true })"
STYLE = """
span[id^='document-'] + section { break-before: page }
details.hide > summary { display: none }
details > * { animation: none !important }
"""
NUMBER = """<div style="width:100%;font-size:8pt;text-align:center">
<span class="pageNumber"></span></div>"""
MARGIN = {"top": "18mm", "bottom": "18mm", "left": "17mm", "right": "17mm"}


class PdfError(Exception):
    """The book cannot be printed; the text says why and what to do."""


def find_browser() -> str:
    """The path of Chromium; the variable CHROMIUM may name another executable."""
    on_path = filter(None, map(shutil.which, BROWSERS))
    found = os.environ.get("CHROMIUM") or next(on_path, None)
    if not found:
        raise PdfError("No Chromium: install it, or set CHROMIUM to its path.")
    return found


def write_single_page(root: Path) -> Path:
    """Build the book as one HTML page, from the same outputs as the site."""
    target = root / "_build" / "single"
    result = build_sphinx(
        root,
        target,
        path_config=root / "_config.yml",
        confoverrides={"latex_individualpages": False},
        doctreedir=root / "_build" / ".doctrees-single",
        builder="singlehtml",
        noconfig=True,
        freshenv=True,
        quiet=True,
    )
    if result:
        raise PdfError(f"The book could not be built as one page: {result}")
    written = target / f"{entries(root)[0]}.html"
    return written.replace(target / "book.html")  # links are relative to the top folder


def print_page(page: Path, target: Path) -> None:
    """Print an HTML page with bookmarks and tags, all answers unfolded."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        args = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=find_browser(), args=args)
        tab = browser.new_page(color_scheme="light")
        tab.set_default_timeout(300_000)
        tab.goto(page.resolve().as_uri())
        tab.evaluate(READY)
        tab.evaluate(OPEN_ALL)
        tab.add_style_tag(content=STYLE)
        tab.pdf(
            path=target,
            format="A4",
            margin=MARGIN,
            scale=0.85,
            print_background=True,
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=NUMBER,
            outline=True,
            tagged=True,
        )
        browser.close()


def main(words: list[str], root: Path = ROOT) -> int:
    target = Path(words[0]) if words else root / "_build" / "book.pdf"
    try:
        print_page(write_single_page(root), target)
    except PdfError as error:
        print(error, file=sys.stderr)
        return 1
    pages = len(PdfReader(target).pages)
    print(f"{target}: {pages} pages, {target.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

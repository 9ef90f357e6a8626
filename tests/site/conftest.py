"""One visit of each page, shared by all tests that ask something of it."""

import functools
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
READY = "window.MathJax?.startup?.promise.then(() => document.fonts.ready)"
THEME = "theme => { document.documentElement.dataset.theme = theme }"
STILL = "*, ::before, ::after { transition: none !important }"  # no half-way colours
VISIBLE_TEXT = """() => {
  const skip = "script, style, code, pre, mjx-container, .tex2jax_ignore";
  const copy = document.querySelector("main").cloneNode(true);
  copy.querySelectorAll(skip).forEach(node => node.remove());
  return copy.textContent;
}"""
ICONLESS = """() => [...document.querySelectorAll("[class*=fa-]")]
  .filter(e => e.checkVisibility())
  .filter(e => getComputedStyle(e, "::before").content === "none")
  .map(e => e.className)"""
CUT = """() => [...document.querySelectorAll("mjx-container:not([display])")]
  .filter(e => e.checkVisibility() && !e.closest("table"))
  .filter(e => e.getBoundingClientRect().right > innerWidth - 14)
  .map(e => e.closest("p, li, dd, div").textContent.slice(0, 60))"""
AXE = """async () => {
  const options = { resultTypes: ["violations"], preload: false };
  const { violations } = await axe.run(document, options);
  return violations.map(v =>
    `${v.id}: ${v.nodes.map(n => n.target.join(" ")).slice(0, 5).join("; ")}`);
}"""


@functools.cache
def axe_script():
    package = find_spec("axe_playwright_python").submodule_search_locations[0]
    return next(Path(package).rglob("axe.min.js")).read_text("utf-8")


def listen(tab):
    """Collect what the tab loads, what it logs as wrong, and what fails to load."""
    heard = SimpleNamespace(sizes={}, problems=[])

    def loaded(request):
        heard.sizes[request.url] = request.sizes()["responseBodySize"]

    def logged(message):
        if message.type in ("error", "warning"):
            heard.problems.append(f"{message.type}: {message.text}")

    tab.on("requestfinished", loaded)
    tab.on("requestfailed", lambda request: heard.problems.append(request.url))
    tab.on("console", logged)
    tab.on("pageerror", lambda error: heard.problems.append(str(error)))
    return heard


@pytest.fixture(scope="session")
def open_page(browser):
    """Open an address in a context of its own; the tab and what it was heard to do."""
    contexts = []

    def opened(address, viewport=WIDE):
        context = browser.new_context(viewport=viewport, color_scheme="light")
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(20_000)
        heard = listen(tab)
        tab.goto(address)
        tab.evaluate(READY)
        return tab, heard

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def visit(site, served, open_page):
    """Visit a page once, from http and from the disk, and keep what was seen."""

    @functools.cache
    def visited(page):
        tab, heard = open_page(f"{served}/{page}")
        seen = SimpleNamespace(served=heard, violations={})
        seen.text = tab.evaluate(VISIBLE_TEXT)
        seen.iconless = tab.evaluate(ICONLESS)
        tab.evaluate(axe_script())
        tab.add_style_tag(content=STILL)
        for theme in ("light", "dark"):
            tab.evaluate(THEME, theme)
            seen.violations[theme] = tab.evaluate(AXE)
        tab.set_viewport_size(PHONE)
        tab.wait_for_timeout(100)
        seen.phone_width = tab.evaluate("document.documentElement.scrollWidth")
        seen.cut = tab.evaluate(CUT)
        tab.close()
        tab, seen.disk = open_page((site / page).resolve().as_uri())
        tab.close()
        return seen

    return visited

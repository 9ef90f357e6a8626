"""Every page of the built site in Chromium: what it loads, says, weighs and allows."""

import re
from collections import Counter

import pytest

MATHS = "/_static/mathjax/"
SOURCE = re.compile(
    r"\$\$|\\(?:frac|begin|mathbf|sum)\b|\{[a-z:]+\}|:::|\]\(|^\(.+\)=$", re.M
)
MEGABYTE = 1_000_000

CONTROLS = ".dl-controls input, .dl-controls select"
PICTURE = """control => {
  const picture = control.closest("figure").querySelector("svg");
  return [picture.innerHTML, picture.getAttribute("aria-label")];
}"""
FOCUSABLE = """() => {
  const kinds = "a[href], button, input, select, textarea, summary, [tabindex='0']";
  return [...document.querySelectorAll(kinds)]
    .filter(e => e.checkVisibility({ visibilityProperty: true }) && !e.disabled)
    .map((e, index) => { e.dataset.stop = index; return index; });
}"""


def test_asks_nobody_else_and_logs_nothing(visit, served, built):
    seen = visit(built)
    outside = [url for url in seen.served.sizes if not url.startswith(served)]
    assert outside == []
    assert seen.served.problems == []


def test_reads_from_the_disk_alike(visit, built):
    seen = visit(built)
    outside = [url for url in seen.disk.sizes if not url.startswith("file:")]
    assert outside == []
    assert seen.disk.problems == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_violation(visit, built, theme):
    assert visit(built).violations[theme] == []


def test_fits_a_phone(visit, built):
    assert visit(built).phone_width <= 390
    assert visit(built).cut == [], "formulas too long for a line; make two of each"


def test_shows_no_source_of_formulas_or_roles(visit, built):
    assert SOURCE.findall(visit(built).text) == []


def test_weighs_little(visit, site, built):
    sizes = visit(built).served.sizes
    frames = live_bytes((site / built).read_text("utf-8"))
    maths = sum(size for url, size in sizes.items() if MATHS in url)
    total = sum(sizes.values())
    assert total <= 2.5 * MEGABYTE, Counter(sizes).most_common(5)
    assert total - maths - frames <= MEGABYTE, Counter(sizes).most_common(5)


def live_bytes(html):
    """The bytes of the frames of all live figures on a page."""
    scripts = re.findall(
        r'<script type="application/gzip[^>]*>(.*?)</script>', html, re.S
    )
    return sum(map(len, scripts))


def test_shows_every_icon(visit, built):
    assert visit(built).iconless == []


def test_keyboard_reaches_and_moves_every_control(served, open_page, built):
    tab, _ = open_page(f"{served}/{built}")
    stops = set(tab.evaluate(FOCUSABLE))
    controls = tab.query_selector_all(CONTROLS)
    for _ in range(len(stops) + 5):
        tab.keyboard.press("Tab")
        reached = tab.evaluate("document.activeElement.dataset.stop ?? -1")
        stops.discard(int(reached))
    assert stops == set(), "the Tab key never came to these"
    for control in controls:
        before = control.evaluate(PICTURE)
        control.focus()
        key = "ArrowLeft" if at_end(control) else "ArrowRight"
        tab.keyboard.press(key)
        tab.wait_for_timeout(150)
        after = control.evaluate(PICTURE)
        assert before[0] != after[0], "the picture stays as it was"
        assert before[1] != after[1], "the alternative text stays as it was"
    tab.close()


def at_end(control):
    return control.evaluate("c => Number(c.value) === Number(c.max ?? c.length - 1)")

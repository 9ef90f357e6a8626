"""Live figures: their controls, their frames, the static page and a real kernel."""

import base64
import gzip
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dlbook_lib.common import live as module
from dlbook_lib.common.figures import decision_regions, scatter_classes, subplots
from dlbook_lib.common.live import Choice, Slider, live

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "book" / "_static"
GRID = np.linspace(-3, 3, 200)
WORDS = {"alt": lambda **at: f"A picture at {at}.", "caption": "It <moves>."}


def line(slope=1.0, sign=1):
    fig, ax = subplots(height=2.5)
    ax.plot([-1, 1], [-sign * slope, sign * slope])
    ax.set(xlabel="input", ylabel="output", ylim=(-3, 3))
    return fig


@pytest.fixture
def shown(monkeypatch):
    """What live hands to the notebook: bundle, metadata, frame, controls, caption."""
    calls = []
    monkeypatch.setattr(module, "_display", lambda *call: calls.append(call))
    return calls


def frames_of(page):
    packed = re.search(r'gzip\+base64">([^<]+)</script>', page)[1]
    data = json.loads(gzip.decompress(base64.b64decode(packed)))
    lines = data["lines"]
    return ["\n".join(lines[i] for i in rows) for rows in data["frames"]], data["alts"]


def test_slider_gives_ints_for_ints_and_no_rounding_dust():
    assert Slider(1, 7, 3).values() == [1, 4, 7]
    assert all(type(x) is int for x in Slider(1, 7, 3).values())
    assert Slider(0.0, 0.5, 0.1).values() == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert Slider(0.0, 1.0, 0.1, value=3 * 0.1).value == 0.3


@pytest.mark.parametrize("frames", [2, 3, 4, 7, 50])
@pytest.mark.parametrize("value", [0.0, 0.1, 0.7, 2.0])
def test_slider_stops_hold_both_ends_and_the_start(frames, value):
    slider = Slider(0.0, 2.0, 0.1, value=value, frames=frames)
    stops = slider.stops(5)
    assert {0.0, 2.0, value} <= set(stops) <= set(slider.values())
    assert stops == sorted(stops)
    assert min(frames, 21) <= len(stops) <= frames + 1


def test_slider_and_choice_say_what_they_stand_at():
    assert Slider(0, 1, 0.25, unit=" rad").text(0.5) == "0.5 rad"
    assert Choice({"off": None, "on": 1}).value is None
    assert Choice(["a", "b"]).value == "a"
    assert Choice({"off": 0, "on": 1}, value=1).text(1) == "on"


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: Slider("0", 1, 1), TypeError, "Slider: start, stop, step must be num"),
        (lambda: Slider(0, 1, 0), ValueError, "Slider: no steps of 0 lead from 0 to 1"),
        (lambda: Slider(1, 0, 1), ValueError, "stop above start"),
        (lambda: Slider(0, 1, 0.25, 0.3), ValueError, "the nearest is 0.25"),
        (lambda: Slider(0, 1, 1, frames=1), ValueError, "frames must be 2 or more"),
        (lambda: Choice("ab"), ValueError, "Choice: options must be two or more"),
        (lambda: Choice(["a"]), ValueError, "two or more"),
        (lambda: Choice(["a", "b"], "c"), ValueError, "value 'c' is not among"),
    ],
)
def test_controls_refuse_with_a_sentence(make, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        make()


SLOPE = {"slope": Slider(0.0, 2.0, 0.5)}
REFUSED = {
    "no control": ({}, "live: give one to three controls"),
    "four controls": (
        {k: Slider(0, 1, 1) for k in "abcd"},
        "live: give one to three controls",
    ),
    "a number": ({"slope": 3}, "live: slope must be a Slider or a Choice, not 3"),
    "alt a text": (SLOPE | {"alt": "A line."}, "live: alt must be a function, alt(sl"),
    "alt empty": (SLOPE | {"alt": lambda slope: ""}, "live: alt is ''; say what"),
    "alt always the same": (
        SLOPE | {"alt": lambda slope: "A line."},
        "live: alt gives the same text for all values",
    ),
    "no caption": (SLOPE | {"caption": ""}, "live: caption is ''; state"),
    "draw no function": (SLOPE | {"draw": line()}, "live: draw must be a function"),
    "draw no figure": (
        SLOPE | {"draw": lambda slope: None},
        "must be a Figure, not No",
    ),
    "axes without a name": (
        SLOPE | {"draw": lambda slope: subplots()[0]},
        "live: an axis shows numbers along x and has no name",
    ),
    "sizes that change": (
        SLOPE | {"draw": lambda slope: _named(subplots(height=2 + slope))},
        "live: draw gives figures of several sizes",
    ),
    "too many frames": (
        {k: Slider(0, 9, 1, frames=6) for k in "abc"},
        "live: 6 × 6 × 6 stops make 216 frames, more than 125; try fewer",
    ),
}


def _named(figure):
    fig, ax = figure
    ax.set(xlabel="a", ylabel="b")
    return fig


@pytest.mark.parametrize(("changes", "sentence"), REFUSED.values(), ids=REFUSED)
def test_live_refuses_with_a_sentence(changes, sentence, shown):
    arguments = {"draw": line, **WORDS, **changes}
    with pytest.raises((TypeError, ValueError), match=re.escape(sentence)):
        live(arguments.pop("draw"), **arguments)
    assert not shown


def test_live_refuses_frames_that_weigh_too_much(shown):
    rng = np.random.default_rng(0)

    def noise(slope):
        fig, ax = subplots()
        ax.plot(rng.normal(size=20_000), rng.normal(size=20_000))
        return _named((fig, ax))

    with pytest.raises(ValueError, match=r"5 frames weigh \d+ kB, the limit is 400 kB"):
        live(noise, **WORDS, **SLOPE)


def test_an_error_in_draw_says_where(shown):
    def broken(slope):
        return line(1 / (slope - 0.5))

    with pytest.raises(ZeroDivisionError) as caught:
        live(broken, **WORDS, **SLOPE)
    assert caught.value.__notes__ == ["This happened in the live figure at slope=0.5."]


def test_the_output_holds_every_frame_once_and_in_order(shown):
    controls = {
        "slope": Slider(0.0, 2.0, 0.5, value=1.5, frames=3, label="slope of the line"),
        "sign": Choice({"up": 1, "down": -1}, value=-1),
    }
    live(line, **WORDS, name="fig-x-line", **controls)
    [(bundle, metadata, *_)] = shown
    assert bundle["text/plain"] == (
        "Live figure: A picture at {'slope': 1.5, 'sign': -1}. "
        "Controls: slope of the line (0 to 2); sign (up, down)."
    )
    about = metadata["dlbook_figure"]
    assert about == {
        "name": "fig-x-line",
        "caption": "It <moves>.",
        "alt": "A picture at {'slope': 1.5, 'sign': -1}.",
        "live": True,
        "controls": ["slope", "sign"],
    }
    page = bundle["text/html"]
    frames, alts = frames_of(page)
    stops = itertools.product([0.0, 1.0, 1.5, 2.0], [1, -1])
    assert alts == [f"A picture at { ({'slope': a, 'sign': b}) }." for a, b in stops]
    assert len(set(frames)) == 8 - 1, "slope 0 looks the same up and down"
    assert frames[5] in page.replace("</svg>", "", 1)
    assert 'max="3" step="1" value="2" aria-valuetext="1.5"' in page
    assert '<option value="1" selected>down</option>' in page
    assert "It &lt;moves&gt;." in page
    assert "Shown at slope of the line 1.5, sign down." in page


def test_the_output_is_the_same_each_time(shown):
    for _ in range(2):
        live(line, **WORDS, **SLOPE)
    one, two = (bundle["text/html"] for bundle, *_ in shown)
    assert one == two


@pytest.mark.slow
def test_forty_frames_of_curves_and_regions_weigh_at_most_400_kb(shown):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 2)), np.repeat([0, 1], 100)

    def draw(slope):
        fig, (left, right) = subplots(1, 2)
        for shift in range(3):
            left.plot(GRID, np.tanh(slope * GRID - shift))
        left.set(xlabel="input", ylabel="output")
        decision_regions(
            right, lambda P: np.sin(slope * P[:, 0]) - P[:, 1], (-3, 3), (-3, 3)
        )
        scatter_classes(right, X + slope * (y[:, None] - 0.5), y)
        right.set(xlabel="$x_1$", ylabel="$x_2$")
        return fig

    live(draw, **WORDS, slope=Slider(0.1, 4.0, 0.1, frames=40))
    page = shown[0][0]["text/html"]
    assert len(frames_of(page)[0]) == 40
    assert len(page) <= 400_000


def test_without_ipywidgets_there_is_no_widget(shown, monkeypatch):
    live(line, **WORDS, **SLOPE)
    [(_, _, *parts)] = shown
    assert module._widget(*parts) is not None
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert module._widget(*parts) is None


@pytest.mark.pages
def test_live_figures_move_in_a_kernel():
    script = Path(__file__).with_name("live_kernel_check.py")
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("live figures move")


def page_with(*figures, script=True):
    css, js = ((STATIC / f).read_text() for f in ("figures.css", "live.js"))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Live</title>'
        '<link rel="icon" href="data:,"><meta name="color-scheme" content="light dark">'
        f"<style>{css}</style></head><body><main>"
        f"<h1>Live</h1>{''.join(figures)}</main>"
        f"{f'<script>{js}</script>' * 2 if script else ''}</body></html>"
    )


@pytest.fixture
def opened(browser, shown, tmp_path):
    """A page of two live figures, opened from its file, and what it asked for."""
    live(
        line,
        **WORDS,
        name="fig-one",
        slope=Slider(0.0, 2.0, 0.5, value=1.0, unit=" V"),
        sign=Choice({"up": 1, "down": -1}),
    )
    live(line, **WORDS, name="fig-two", slope=Slider(0.0, 2.0, 1.0))
    file = tmp_path / "live.html"
    file.write_text(page_with(*(bundle["text/html"] for bundle, *_ in shown)))
    page = browser.new_page(viewport={"width": 390, "height": 800})
    noise = []
    page.on("console", lambda message: noise.append(message.text))
    page.on("pageerror", lambda error: noise.append(str(error)))
    page.on("request", lambda request: noise.append(request.url))
    page.goto(file.as_uri())
    assert noise == [file.as_uri()]
    noise.clear()
    yield page
    assert noise == []
    page.close()


def state(page):
    one = page.locator("figure.dl-live").first
    picture = one.locator("svg")
    return (
        picture.get_attribute("aria-label"),
        picture.inner_html(),
        one.locator("output").inner_text(),
    )


def wait_for(page, label):
    script = "label => document.querySelector('svg').ariaLabel === label"
    page.wait_for_function(script, arg=label)
    return state(page)


def test_the_keyboard_moves_the_static_page(opened):
    other = opened.locator("svg").last.inner_html()
    alt, picture, said = state(opened)
    assert (alt, said) == ("A picture at {'slope': 1.0, 'sign': 1}.", "1 V")
    opened.keyboard.press("Tab")
    opened.keyboard.press("ArrowRight")
    alt, moved, said = wait_for(opened, "A picture at {'slope': 1.5, 'sign': 1}.")
    slider = opened.locator("input").first
    assert moved != picture
    assert said == slider.get_attribute("aria-valuetext") == "1.5 V"
    opened.keyboard.press("Tab")
    opened.keyboard.press("ArrowDown")
    _, flipped, _ = wait_for(opened, "A picture at {'slope': 1.5, 'sign': -1}.")
    assert flipped not in (picture, moved)
    opened.keyboard.press("Shift+Tab")
    opened.keyboard.press("Home")
    wait_for(opened, "A picture at {'slope': 0.0, 'sign': -1}.")
    assert opened.locator("svg").last.inner_html() == other


def test_print_shows_the_first_frame_and_no_controls(opened):
    _, picture, _ = state(opened)
    opened.locator("input").first.press("End")
    wait_for(opened, "A picture at {'slope': 2.0, 'sign': 1}.")
    opened.evaluate("dispatchEvent(new Event('beforeprint'))")
    opened.emulate_media(media="print")
    assert wait_for(opened, "A picture at {'slope': 1.0, 'sign': 1}.")[1] == picture
    assert not opened.locator(".dl-controls").first.is_visible()
    assert opened.get_by_text("Shown at slope 1 V, sign up.").is_visible()
    opened.emulate_media(media="screen")
    opened.evaluate("dispatchEvent(new Event('afterprint'))")
    wait_for(opened, "A picture at {'slope': 2.0, 'sign': 1}.")
    assert not opened.get_by_text("Shown at slope 1 V, sign up.").is_visible()


def test_controls_are_large_enough_to_touch_and_nothing_sticks_out(opened):
    for box in (c.bounding_box() for c in opened.locator("input, select").all()):
        assert box["height"] >= 24
        assert box["width"] >= 90
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390


def test_axe_finds_nothing(opened):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    for scheme in ("light", "dark"):
        opened.emulate_media(color_scheme=scheme)
        results = axe.run(opened)
        assert results.violations_count == 0, results.generate_report()


def test_without_javascript_the_first_frame_and_a_sentence_stand(
    browser, shown, tmp_path
):
    live(line, **WORDS, **SLOPE)
    file = tmp_path / "still.html"
    file.write_text(page_with(shown[0][0]["text/html"], script=False))
    page = browser.new_page(java_script_enabled=False)
    page.goto(file.as_uri())
    assert page.locator("svg").bounding_box()["width"] > 300
    assert not page.locator(".dl-controls").is_visible()
    assert page.get_by_text("Shown at slope 0.").is_visible()
    page.close()

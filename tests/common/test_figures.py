"""The book's pictures: palette, type, SVG, and the helpers that draw."""

import itertools
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from dlbook_lib.common import figures
from dlbook_lib.common.figures import COLORS, subplots
from dlbook_lib.common.figures.style import INK, PAPER, TYPE_SIZE
from dlbook_lib.common.figures.svg import PIXELS_PER_INCH, figure_svg

GROUNDS = {"white": "#ffffff", "near-black": "#121212"}
INKS = {name: c for name, c in vars(COLORS).items() if name not in ("cycle", "paper")}

# How the three kinds of colour blindness see linear RGB (Machado, Oliveira and
# Fernandes 2009, severity 1).
SEEN = {
    "full colour": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def linear(color):
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(one, two):
    light = [linear(c) @ [0.2126, 0.7152, 0.0722] + 0.05 for c in (one, two)]
    return max(light) / min(light)


def lab(rgb):
    to_xyz = [
        [0.4124, 0.3576, 0.1805],
        [0.2126, 0.7152, 0.0722],
        [0.0193, 0.1192, 0.9505],
    ]
    xyz = to_xyz @ np.clip(rgb, 0, 1) / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def line_plot():
    fig, ax = subplots()
    ax.plot([0, 1, 2], [0.0, 1.0, 4.0])
    ax.set(xlabel="time (s)", ylabel="distance $x_1$ (m)")
    return fig


@pytest.mark.parametrize("ground", GROUNDS.values(), ids=GROUNDS)
@pytest.mark.parametrize("color", INKS.values(), ids=INKS)
def test_every_ink_stands_out_on_both_grounds(color, ground):
    assert contrast(color, ground) >= 3


@pytest.mark.parametrize("seen", SEEN.values(), ids=SEEN)
def test_no_two_inks_look_alike(seen):
    inks = {*COLORS.cycle, COLORS.neutral}
    for one, two in itertools.combinations(sorted(inks), 2):
        apart = lab(seen @ linear(one)) - lab(seen @ linear(two))
        assert np.linalg.norm(apart) > 11, (one, two)


def test_class_a_and_class_b_are_far_apart_for_everybody():
    for seen in SEEN.values():
        a, b = (lab(seen @ linear(c)) for c in (COLORS.class_a, COLORS.class_b))
        assert np.linalg.norm(a - b) > 80


def test_type_is_readable_on_a_phone_and_not_larger_than_the_text_on_a_desk():
    points = 7 * 72
    assert TYPE_SIZE / points * 328 >= 9
    assert 16 <= TYPE_SIZE / 72 * PIXELS_PER_INCH <= 18


def test_matplotlib_is_imported_late_and_pyplot_never():
    code = (
        "import sys, time, numpy\n"
        "start = time.process_time()\n"
        "from dlbook_lib.common.figures import show, subplots\n"
        "assert time.process_time() - start < 0.1\n"
        "assert 'matplotlib' not in sys.modules\n"
        "fig, ax = subplots()\n"
        "ax.set(xlabel='a', ylabel='b')\n"
        "show(fig, alt='Empty axes.', caption='Nothing.')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_svg_follows_the_page_and_asks_nothing_of_the_network():
    svg = figure_svg(line_plot(), 'x < y & "z"')
    assert svg.startswith('<svg role="img" aria-label="x &lt; y &amp; &quot;z&quot;"')
    assert svg.endswith("</svg>")
    assert "currentColor" in svg
    assert INK not in svg
    assert PAPER not in svg
    assert not re.search(r"https?:|<\?xml|DOCTYPE|<!--|<metadata|<text", svg)
    ElementTree.fromstring(svg)


def test_svg_is_the_same_each_time_and_short():
    one, two = (figure_svg(line_plot(), "A curve.") for _ in range(2))
    assert one == two
    assert len(one) < 30_000
    paths = " ".join(re.findall(r' d="([^"]*)"', one))
    assert not re.search(r"\.\d{2}", paths)


def test_two_pictures_share_no_id_and_every_reference_is_met():
    ids = []
    for name in ("fig-a", "fig-b"):
        svg = figure_svg(line_plot(), "A curve.", name)
        own = set(re.findall(r' id="([^"]+)"', svg))
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) == own
        ids.append(own)
    assert ids[0].isdisjoint(ids[1])


def test_markers_keep_their_style():
    fig, ax = subplots()
    ax.plot([1, 2, 3], [1, 2, 3], "o", color=COLORS.gradient)
    group = r'<g[^>]*style="[^"]*%s[^"]*">\s*(?:<use [^>]*/>\s*){3}</g>'
    assert re.search(group % f"fill: {COLORS.gradient}", figure_svg(fig, "a"))


@pytest.mark.parametrize("empty", ["", " ", None])
@pytest.mark.parametrize("name", ["alt", "caption"])
def test_show_wants_words(name, empty):
    words = {"alt": "A curve.", "caption": "It rises.", name: empty}
    with pytest.raises(ValueError, match=f"show: {name} is .*; s"):
        figures.show(line_plot(), **words)


def test_show_wants_names_on_axes_with_numbers():
    fig, (left, right) = subplots(1, 2, sharey=True)
    for ax in (left, right):
        ax.set(xlabel="time (s)")
    with pytest.raises(ValueError, match="numbers along y and has no name; call"):
        figures.show(fig, alt="a", caption="b")
    left.set(ylabel="distance (m)")
    figures.show(fig, alt="a", caption="b")
    right.set(xlabel="")
    with pytest.raises(ValueError, match="numbers along x"):
        figures.show(fig, alt="a", caption="b")
    right.set_xticks([])
    figures.show(fig, alt="a", caption="b")


def test_show_wants_a_figure():
    with pytest.raises(TypeError, match="must be a Figure, not None"):
        figures.show(None, alt="a", caption="b")


def test_show_puts_words_and_picture_into_one_output(monkeypatch):
    shown = []
    monkeypatch.setattr(figures.publish, "display_both", lambda *all: shown.append(all))
    words = {"alt": "A curve.", "caption": "It <rises>.", "name": "fig-a-curve"}
    figures.show(line_plot(), **words)
    [(text, page, metadata)] = shown
    assert text == "Figure: A curve."
    assert page.startswith('<figure class="dl-figure"><svg role="img"')
    assert page.endswith("<figcaption>It &lt;rises&gt;.</figcaption></figure>")
    assert metadata == {"dlbook_figure": words}


def test_learning_curves_name_the_lines_apart():
    fig, ax = subplots()
    figures.learning_curves(ax, [3, 2, 1.0], [3, 2.0, 1.01], ylabel="cost (nats)")
    train, valid = ax.lines
    assert (train.get_linestyle(), valid.get_linestyle()) == ("-", "--")
    low, high = ax.texts
    assert (low.get_text(), high.get_text()) == ("training", "validation")
    assert high.xyann[1] - low.xyann[1] == 16
    with pytest.raises(ValueError, match="validation has 1 values but x has 3"):
        figures.learning_curves(ax, [3, 2, 1.0], [3], ylabel="cost (nats)")
    assert "currentColor" in figure_svg(fig, "a")


def test_decision_regions_tint_the_right_side_and_stay_small():
    fig, ax = subplots()
    figures.decision_regions(
        ax, lambda X: X @ [1.0, 0.0], (-1, 1), (-1, 1), threshold=0.5
    )
    below, above, line = ax.collections
    (path,) = line.get_paths()
    np.testing.assert_allclose(path.vertices[:, 0], 0.5, atol=1e-9)
    assert below.get_datalim(ax.transData).x1 == pytest.approx(0.5, abs=1e-6)
    assert above.get_datalim(ax.transData).x0 == pytest.approx(0.5, abs=1e-6)
    colors = [c.get_facecolor()[0, :3] * 255 for c in (below, above)]
    wanted = [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in COLORS.cycle[:2]]
    np.testing.assert_allclose(colors, wanted)

    fig, ax = subplots()
    figures.decision_regions(
        ax, lambda X: np.sin(4 * X[:, 0]) + X[:, 1], (-3, 3), (-3, 3)
    )
    ax.set(xlabel="a", ylabel="b")
    assert len(figure_svg(fig, "a")) < 60_000


def test_decision_regions_take_one_class_and_many():
    fig, ax = subplots()
    figures.decision_regions(ax, lambda X: np.ones(len(X)), (-1, 1), (-1, 1))
    assert len(ax.collections) == 1
    fig, ax = subplots()
    three = np.array([[1.0, 0.0], [-1.0, 1.0], [-1.0, -1.0]])
    figures.decision_regions(ax, lambda X: X @ three.T, (-1, 1), (-1, 1))
    assert len(ax.collections) == 3 + 2
    with pytest.raises(ValueError, match="decision_regions: predict must give"):
        figures.decision_regions(ax, lambda X: 1.0, (-1, 1), (-1, 1))
    assert isinstance(fig, Figure)


def test_scatter_classes_give_each_class_its_colour_and_shape():
    _, ax = subplots()
    X, y = np.arange(8.0).reshape(4, 2), np.array([1, 0, 1, 0])
    figures.scatter_classes(ax, X, y, names=["A", "B"])
    a, b = ax.lines
    assert (a.get_color(), a.get_marker()) == (COLORS.class_a, "o")
    assert (b.get_color(), b.get_marker()) == (COLORS.class_b, "s")
    np.testing.assert_array_equal(a.get_xydata(), X[y == 0])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["A", "B"]
    with pytest.raises(ValueError, match=r"scatter_classes: y must be \(4,\)"):
        figures.scatter_classes(ax, X, y[:2])


def test_scatter_classes_keep_a_class_that_is_missing_in_its_place():
    _, ax = subplots()
    figures.scatter_classes(ax, np.zeros((2, 2)), np.array([1, 1]), classes=(0, 1))
    assert [line.get_color() for line in ax.lines if len(line.get_xdata())] == [
        COLORS.class_b
    ]


def test_image_grid_embeds_pixels_not_a_magnified_copy():
    fig, axes = subplots(1, 3)
    images = [np.eye(4), np.eye(4)]
    figures.image_grid(axes, images, ["one", "two"])
    svg = figure_svg(fig, "a")
    assert svg.count("<image ") == 2
    assert "image-rendering:pixelated" in svg
    assert len(svg) < 12_000
    assert not axes[2].axison
    with pytest.raises(ValueError, match="4 images, 3 axes"):
        figures.image_grid(axes, images * 2)
    with pytest.raises(ValueError, match="2 images but 1 titles"):
        figures.image_grid(axes, images, ["one"])


def test_draw_network_draws_each_weight():
    _, ax = subplots()
    weights = [[[1.0, -1.0], [0.5, 2.0]], [[1.0, -2.0]]]
    figures.draw_network(ax, (2, 2, 1), weights=weights, values=True)
    assert len(ax.patches) == 5
    assert [line.get_linestyle() for line in ax.lines] == [
        "-",
        "--",
        "-",
        "-",
        "-",
        "--",
    ]
    assert [t.get_text() for t in ax.texts if t.get_text()][:2] == ["1", "−1"]
    figures.draw_network(subplots()[1], (2, 1), values=True)
    with pytest.raises(
        ValueError, match=r"draw_network: weights have shapes \[\(1, 2\)"
    ):
        figures.draw_network(ax, (2, 2, 1), weights=[[[1, 2]], [[1, 2]]])


def test_draw_graph_draws_arrows_between_nodes():
    fig, ax = subplots()
    nodes = {"w": (0, 0, "$w$"), "u": (1.5, 0, "×")}
    edges = [("w", "u", "3"), ("u", "w", "2", "gradient")]
    figures.draw_graph(ax, nodes, edges, roles={"w": "parameter"})
    assert len(ax.patches) == 4
    assert {t.get_text() for t in ax.texts} == {"$w$", "×", "3", "2"}
    assert fig.get_figheight() == pytest.approx(1.6 * 0.32 * 2)
    with pytest.raises(ValueError, match="draw_graph: an edge names 'v'"):
        figures.draw_graph(ax, nodes, [("w", "v")])

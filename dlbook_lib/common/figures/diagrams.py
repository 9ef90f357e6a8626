"""Drawn networks and computational graphs, with the same strokes everywhere."""

import numpy as np

from ..checks import require
from .style import COLORS


def draw_graph(ax, nodes, edges, *, radius=0.32, roles=None):
    """Draw a graph of nodes and arrows.

    Parameters
    ----------
    ax : Axes
        Turned into a drawing board: no axes, equal scales.
    nodes : dict of str to (float, float) or (float, float, str)
        The place of each node, and its text if that is not its name; `$…$` is
        mathematics.
    edges : sequence of (str, str), (str, str, str) or (str, str, str, str)
        From, to, the text along the arrow (may be empty), and the role that gives its
        colour: a name in `COLORS`, ``"ink"`` by default. An arrow of role
        ``"gradient"`` is dashed and bent, so it can run back beside the forward one.
    radius : float
        Of a node, where nodes one apart are neighbours.
    roles : dict of str to str, optional
        The role of a node, a name in `COLORS`.

    >>> from dlbook_lib.common.figures import subplots
    >>> fig, ax = subplots()
    >>> places = {"w": (0, 1, "$w$"), "x": (0, 0, "$x$"), "u": (1, 0.5, "×")}
    >>> draw_graph(ax, places, [("w", "u"), ("x", "u"), ("u", "w", "x", "gradient")])
    """
    roles = roles or {}
    circles = {}
    for name, (x, y, *text) in nodes.items():
        color = getattr(COLORS, roles.get(name, "ink"))
        circles[name] = _node(ax, (x, y), text[0] if text else name, radius, color)
    for start, stop, *rest in edges:
        for end in (start, stop):
            require(end in nodes, f"an edge names {end!r}, which is not a node")
        text, role = (*rest, *("", "ink")[len(rest) :])
        _arrow(ax, circles[start], circles[stop], text, role)
    _board(ax, np.array([place[:2] for place in nodes.values()]), 1.6 * radius)


def draw_network(ax, sizes, *, labels=None, weights=None, values=False, radius=0.3):
    """Draw a layered network, inputs on the left.

    Parameters
    ----------
    ax : Axes
        Turned into a drawing board.
    sizes : sequence of int
        Units in each layer.
    labels : sequence of sequence of str, optional
        The text in each unit, layer by layer, from the top.
    weights : sequence of array_like (out, in), optional
        One for each gap between layers: a thick stroke is a large weight, a dashed one
        is negative.
    values : bool
        Write each weight at its stroke.
    radius : float
        Of a unit, where units one apart are neighbours.
    """
    if weights is not None:
        weights = [np.asarray(w, dtype=float) for w in weights]
        shapes = [w.shape for w in weights]
        wanted = list(zip(sizes[1:], sizes[:-1], strict=True))
        require(
            shapes == wanted, f"weights have shapes {shapes}, sizes ask for {wanted}"
        )
        largest = max(abs(w).max() for w in weights) or 1.0
    gap = max(1.8, 0.6 * max(sizes))
    places = [
        [(gap * k, (n - 1) / 2 - i) for i in range(n)] for k, n in enumerate(sizes)
    ]
    for k, layer in enumerate(places):
        for i, place in enumerate(layer):
            text = labels[k][i] if labels else ""
            _node(ax, place, text, radius, COLORS.forward)
            for j, source in enumerate(places[k - 1] if k else ()):
                w = weights[k - 1][i, j] if weights else None
                width = 1.2 if w is None else 0.4 + 3.2 * abs(w) / largest
                stroke = "--" if w is not None and w < 0 else "-"
                ends = np.array([source, place]).T
                ax.plot(*ends, stroke, color=COLORS.parameter, lw=width, zorder=1)
                if values and w is not None:
                    number = f"{w:g}".replace("-", "−")
                    _along(ax, source, place, number, COLORS.parameter)
    _board(ax, np.concatenate(places), 1.6 * radius)


def _node(ax, place, text, radius, color):
    from matplotlib.patches import Circle

    face = {"facecolor": COLORS.paper, "edgecolor": color, "linewidth": 1.6}
    circle = ax.add_patch(Circle(place, radius, zorder=2, **face))
    ax.text(*place, text, ha="center", va="center_baseline", zorder=3)
    return circle


def _arrow(ax, start, stop, text, role):
    from matplotlib.patches import FancyArrowPatch

    back = role == "gradient"
    color = getattr(COLORS, role)
    bend = 0.28 if back else 0.0
    arrow = FancyArrowPatch(
        start.center,
        stop.center,
        patchA=start,
        patchB=stop,
        arrowstyle="-|>,head_length=6,head_width=3",
        connectionstyle=f"arc3,rad={bend}",
        linestyle="--" if back else "-",
        linewidth=1.6,
        color=color,
        shrinkA=1,
        shrinkB=1,
        zorder=1,
    )
    ax.add_patch(arrow)
    if text:
        _along(ax, start.center, stop.center, text, color, part=0.5, bend=bend)


def _along(ax, start, stop, text, color, *, part=0.36, bend=0.0):
    """Write `text` on the stroke from `start` to `stop`, on a patch of paper."""
    start, stop = np.asarray(start), np.asarray(stop)
    dx, dy = stop - start
    place = start + part * (stop - start) + bend / 2 * np.array([dy, -dx])
    ground = {"boxstyle": "round,pad=0.1", "facecolor": COLORS.paper, "linewidth": 0}
    middle = {"ha": "center", "va": "center", "zorder": 2}
    ax.text(*place, text, color=color, bbox=ground, **middle)


def _board(ax, places, margin):
    """Fit the view to the drawing; a figure of its own takes the drawing's height."""
    low, high = places.min(axis=0) - margin, places.max(axis=0) + margin
    width, height = high - low
    if len(ax.figure.axes) == 1:
        inches = ax.figure.get_figwidth()
        scale = min(1.0, inches / width)  # inches per unit
        ax.figure.set_figheight(height * scale)
        low[0], high[0] = (low[0] + high[0] + np.array([-1, 1]) * inches / scale) / 2
        ax.set_position((0, 0, 1, 1))
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    ax.set_axis_off()

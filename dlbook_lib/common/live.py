"""Live figures: one call that moves in a notebook, on the static page and in print.

With a kernel and ipywidgets, the controls redraw the figure at any value. The same
output carries frames drawn in advance, which `live.js` swaps behind native controls on
the site; without JavaScript and in print the first frame stands.
"""

import base64
import gzip
import html
import itertools
import json
import math
import zlib

from .controls import Choice, Slider
from .figures.publish import check_axes, check_text
from .figures.svg import figure_svg

__all__ = ["Choice", "Slider", "live"]

MAX_FRAMES = 125
MAX_BYTES = 400_000
STOPS = {1: 21, 2: 7, 3: 5}  # of a slider that names no number, by number of controls


def live(draw, *, alt, caption, name=None, **controls):
    """Display a figure that follows its controls.

    Parameters
    ----------
    draw : callable
        ``draw(**values)`` gives a `matplotlib.figure.Figure`, always of the same size.
        Give its axes fixed limits, so that the reader sees what moves.
    alt : callable
        ``alt(**values)`` gives the alternative text for these values.
    caption : str
        The one message of the figure, a sentence.
    name : str, optional
        The label that cross-references use, ``fig-<page>-<what>``.
    **controls : Slider or Choice
        One to three; their names are the parameters of `draw` and `alt`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above, if there are more than 125 frames, or if they
        weigh more than 400 kB.

    >>> import numpy as np
    >>> from dlbook_lib.common.figures import subplots
    >>> def draw(slope):
    ...     fig, ax = subplots()
    ...     ax.plot([-1, 1], [-slope, slope])
    ...     ax.set(xlabel="input", ylabel="output", ylim=(-3, 3))
    ...     return fig
    >>> live(
    ...     draw,
    ...     alt=lambda slope: f"A line through the origin that rises by {slope}.",
    ...     caption="The weight is the slope.",
    ...     slope=Slider(0.0, 3.0, 0.5, value=1.0, frames=3),
    ... )
    Live figure: A line through the origin that rises by 1.0. Controls: slope (0 to 3).
    """
    _check(draw, alt, caption, controls)
    stops = {k: c.stops(STOPS[len(controls)]) for k, c in controls.items()}
    _check_count(stops)
    key = name or caption

    def frame(values):
        return _frame(draw, alt, key, dict(zip(controls, values, strict=True)))

    frames = [frame(values) for values in itertools.product(*stops.values())]
    page, words = _page(frames, stops, controls, caption, key)
    moves = "; ".join(f"{_label(k, c)} ({c.span()})" for k, c in controls.items())
    bundle = {
        "text/plain": f"Live figure: {words} Controls: {moves}.",
        "text/html": page,
    }
    about = {"name": name, "caption": caption, "alt": words}
    about |= {"live": True, "controls": list(controls)}
    _display(bundle, {"dlbook_figure": about}, frame, controls, caption)


def _check(draw, alt, caption, controls):
    check_text("live", "caption", caption)
    for what, f in {"draw": draw, "alt": alt}.items():
        if not callable(f):
            wanted = f"{what}({', '.join(controls)})"
            raise TypeError(f"live: {what} must be a function, {wanted}, not {f!r}")
    if not 1 <= len(controls) <= 3:
        raise ValueError(
            f"live: give one to three controls, such as lr=Slider(0, 1, 0.1), "
            f"not {len(controls)}"
        )
    for k, control in controls.items():
        if not isinstance(control, Slider | Choice):
            raise TypeError(f"live: {k} must be a Slider or a Choice, not {control!r}")


def _check_count(stops):
    counts = [len(values) for values in stops.values()]
    if math.prod(counts) > MAX_FRAMES:
        raise ValueError(
            f"live: {' × '.join(map(str, counts))} stops make {math.prod(counts)} "
            f"frames, more than {MAX_FRAMES}; try fewer, Slider(…, frames=5)"
        )


def _label(key, control):
    return control.label or key.replace("_", " ")


def _frame(draw, alt, key, values):
    """The SVG for these values, and its alternative text."""
    try:
        words, fig = alt(**values), draw(**values)
        check_text("live", "alt", words)
        svg = figure_svg(fig, words, key)
        check_axes("live", fig)
    except Exception as error:
        said = ", ".join(f"{k}={v!r}" for k, v in values.items())
        error.add_note(f"This happened in the live figure at {said}.")
        raise
    return svg, words


def _page(frames, stops, controls, caption, key):
    """The ``<figure>`` of the static page, and the alternative text it starts with."""
    if len({svg[svg.index("viewBox") : svg.index(">")] for svg, _ in frames}) > 1:
        raise ValueError("live: draw gives figures of several sizes; fix the size")
    if len({words for _, words in frames}) == 1:
        raise ValueError(
            "live: alt gives the same text for all values; say what is seen at each"
        )
    places = {k: values.index(controls[k].value) for k, values in stops.items()}
    first = 0
    for k, place in places.items():
        first = first * len(stops[k]) + place
    picture, words = frames[first]
    prefix = f"live{zlib.crc32(key.encode()):08x}"
    rows = "".join(
        _control(f"{prefix}-{k}", _label(k, c), c, stops[k], places[k])
        for k, c in controls.items()
    )
    at = ", ".join(f"{_label(k, c)} {c.text(c.value)}" for k, c in controls.items())
    page = (
        f'<figure class="dl-figure dl-live">{picture}'
        f'<div class="dl-controls" role="group" aria-label="Controls" hidden>'
        f'{rows}</div><p class="dl-still">Shown at {html.escape(at)}.</p>'
        f"<figcaption>{html.escape(caption)}</figcaption>"
        f'<script type="application/gzip+base64">{_pack(frames)}</script></figure>'
    )
    if len(page) > MAX_BYTES:
        raise ValueError(
            f"live: {len(frames)} frames weigh {len(page) / 1000:.0f} kB, the limit is "
            f"{MAX_BYTES / 1000:.0f} kB; try fewer frames, fewer points in each curve, "
            "or rasterized=True for clouds of points"
        )
    return page, words


def _control(key, label, control, stops, place):
    texts = [html.escape(control.text(value)) for value in stops]
    words = f'<label for="{key}">{html.escape(label)}</label>'
    if isinstance(control, Choice):
        options = "".join(
            f'<option value="{i}"{" selected" if i == place else ""}>{text}</option>'
            for i, text in enumerate(texts)
        )
        return f'<div>{words}<select id="{key}">{options}</select></div>'
    return (
        f'<div>{words}<input type="range" id="{key}" min="0" max="{len(texts) - 1}" '
        f'step="1" value="{place}" aria-valuetext="{texts[place]}" '
        f'data-texts="{"|".join(texts)}">'
        f'<output for="{key}">{texts[place]}</output></div>'
    )


def _pack(frames):
    """All frames as base64 of gzip of JSON; a line they share is stored once."""
    lines, pictures = {}, []
    for svg, _ in frames:
        rows = svg[svg.index(">") + 1 : svg.rindex("</svg>")].split("\n")
        pictures.append([lines.setdefault(row, len(lines)) for row in rows])
    alts = [words for _, words in frames]
    data = {"lines": list(lines), "frames": pictures, "alts": alts}
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _display(bundle, metadata, frame, controls, caption):
    from IPython import get_ipython
    from IPython.display import display

    shell = get_ipython()
    if shell is None:
        print(bundle["text/plain"])
        return
    box = _widget(frame, controls, caption) if hasattr(shell, "kernel") else None
    if box is not None:
        view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
        bundle["application/vnd.jupyter.widget-view+json"] = view
    display(bundle, raw=True, metadata=metadata)


def _widget(frame, controls, caption):
    """The figure of a notebook with a kernel, or None without ipywidgets."""
    try:
        import ipywidgets
    except ImportError:
        return None
    handles = {k: c.widget(_label(k, c)) for k, c in controls.items()}
    picture = ipywidgets.HTML(layout={"width": "100%"})

    def redraw(_=None):
        try:
            content, _ = frame([handle.value for handle in handles.values()])
        except Exception as error:
            said = " ".join([f"{type(error).__name__}: {error}.", *error.__notes__])
            content = f'<p role="alert">{html.escape(said)}</p>'
        picture.value = (
            f'<figure class="dl-figure">{content}'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        )

    redraw()
    for handle in handles.values():
        handle.observe(redraw, "value")
    return ipywidgets.VBox([*handles.values(), picture])

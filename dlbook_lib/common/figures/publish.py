"""Put a picture on the page, with its alternative text and its caption."""

import html

from ..output import display_both
from .svg import figure_svg

HINTS = {
    "alt": "say what the picture shows",
    "caption": "state the picture's one message as a sentence",
}


def show(fig, *, alt, caption, name=None):
    """Display `fig` as an inline SVG.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
    alt : str
        What the picture shows, for a reader who cannot see it.
    caption : str
        The one message of the picture, a sentence.
    name : str, optional
        The label that cross-references use, ``fig-<page>-<what>``.

    Raises
    ------
    ValueError
        If `alt` or `caption` is empty, or an axis shows numbers and has no name.

    >>> from dlbook_lib.common.figures import subplots
    >>> fig, ax = subplots()
    >>> _ = ax.plot([0, 1], [0, 1])
    >>> _ = ax.set(xlabel="time (s)", ylabel="distance (m)")
    >>> show(fig, alt="A line rises evenly.", caption="The speed is constant.")
    Figure: A line rises evenly.
    """
    check_text("show", "alt", alt)
    check_text("show", "caption", caption)
    page = figure_html(fig, alt=alt, caption=caption, name=name)
    check_axes("show", fig)
    about = {"name": name, "caption": caption, "alt": alt}
    display_both(f"Figure: {alt}", page, {"dlbook_figure": about})


def figure_html(fig, *, alt, caption, name=None):
    """The ``<figure>`` that `show` displays, as text."""
    svg = figure_svg(fig, alt, name)
    words = html.escape(caption)
    return f'<figure class="dl-figure">{svg}<figcaption>{words}</figcaption></figure>'


def check_text(function, name, text):
    """Refuse a missing or empty description given to `function` as `name`."""
    if not (isinstance(text, str) and text.strip()):
        raise ValueError(f"{function}: {name} is {text!r}; {HINTS[name]}")


def check_axes(function, fig):
    """Refuse an axis that shows numbers and has no name; it must have been drawn."""
    for ax in fig.axes:
        if not (ax.axison and ax.get_visible()):
            continue
        for axis, side, common in (
            (ax.xaxis, "bottom", fig.get_supxlabel()),
            (ax.yaxis, "left", fig.get_supylabel()),
        ):
            shown = axis.get_visible() and axis.get_tick_params()[f"label{side}"]
            named = axis.label.get_text() or common
            if shown and len(axis.get_ticklocs()) and not named:
                x = axis.axis_name
                raise ValueError(
                    f"{function}: an axis shows numbers along {x} and has no name; "
                    f"call ax.set_{x}label('what (unit)'), or ax.set_{x}ticks([])"
                )

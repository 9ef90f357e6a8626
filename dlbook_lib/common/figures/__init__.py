"""The book's pictures: one style, one palette, and helpers for what recurs.

A picture is a `matplotlib.figure.Figure`, made by `subplots` and handed to `show` with
its alternative text and its caption. Nothing here uses pyplot, so nothing is displayed
by accident, and Matplotlib is imported when the first picture is drawn.
"""

from .diagrams import draw_graph, draw_network
from .plots import (
    decision_regions,
    image_grid,
    label_line,
    learning_curves,
    scatter_classes,
)
from .publish import figure_html, show
from .style import COLORS, subplots

__all__ = [
    "COLORS",
    "decision_regions",
    "draw_graph",
    "draw_network",
    "figure_html",
    "image_grid",
    "label_line",
    "learning_curves",
    "scatter_classes",
    "show",
    "subplots",
]

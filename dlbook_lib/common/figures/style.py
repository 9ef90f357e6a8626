"""The style of every picture: palette, type, strokes."""

from types import SimpleNamespace

INK = "#777a7d"  # becomes the colour of the page's text
PAPER = "#fdfcfe"  # becomes the colour of the page's ground
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#9a45d6"

COLORS = SimpleNamespace(
    ink=INK,
    paper=PAPER,
    neutral="#7b7d80",
    forward=BLUE,
    gradient=ORANGE,
    parameter=GREEN,
    class_a=BLUE,
    class_b=ORANGE,
    train=BLUE,
    valid=ORANGE,
    numpy=BLUE,
    pytorch=ORANGE,
    third=GREEN,
    fourth=PURPLE,
    cycle=(BLUE, ORANGE, GREEN, PURPLE),
)
"""The palette by role. Every colour but `paper` has a contrast of at least 3:1 on white
and on near-black, and any two stay apart under each kind of colour blindness. `ink` and
`paper` follow the page into dark mode."""

MARKERS = ("o", "s", "^", "D")

TYPE_SIZE = 14  # points; a picture 7 in wide, shown 328 px wide, has type of 9.1 px

STYLE = {
    "font.size": TYPE_SIZE,
    "font.family": ["DejaVu Sans"],
    "mathtext.fontset": "cm",
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.labelsize": "medium",
    "axes.titlesize": "medium",
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 1.0,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": "medium",
    "ytick.labelsize": "medium",
    "legend.frameon": False,
    "legend.fontsize": "medium",
    "lines.linewidth": 2.0,
    "lines.markersize": 6.0,
    "lines.solid_capstyle": "round",
    "grid.color": INK,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.8,
    "hatch.color": INK,
    "patch.edgecolor": INK,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "path.simplify_threshold": 0.3,
}


def apply():
    """Make the book's style Matplotlib's style for this process."""
    import matplotlib
    from cycler import cycler

    matplotlib.rcParams.update(STYLE)
    matplotlib.rcParams["axes.prop_cycle"] = cycler(color=COLORS.cycle)


def subplots(nrows=1, ncols=1, *, width=7.0, height=None, **kw):
    """Make a figure and its axes in the book's style.

    The style is set as Matplotlib's own (`matplotlib.rcParams`), so that what is drawn
    later into the axes follows it as well.

    Parameters
    ----------
    nrows, ncols : int
        Rows and columns of axes.
    width : float
        Inches. 7 fills the text column; type is sized for that width.
    height : float, optional
        Inches; by default a landscape shape for each row.
    **kw
        For `matplotlib.figure.Figure.subplots`: `sharex`, `sharey`, `width_ratios`, …

    Returns
    -------
    fig : matplotlib.figure.Figure
    ax : Axes, or ndarray of Axes as Matplotlib's own `subplots` gives them

    >>> fig, (left, right) = subplots(1, 2)
    >>> fig.get_size_inches().tolist()
    [7.0, 3.0]
    """
    from matplotlib.figure import Figure

    apply()
    if height is None:
        height = nrows * {1: 3.6, 2: 3.0}.get(ncols, 2.4)
    fig = Figure(figsize=(width, height), layout="constrained")
    return fig, fig.subplots(nrows, ncols, **kw)

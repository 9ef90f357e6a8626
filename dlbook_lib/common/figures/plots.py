"""Plots that recur: curves of learning, classes of points, regions, images."""

import numpy as np

from ..checks import require
from .style import COLORS, MARKERS


def label_line(ax, x, y, text, color, *, dy=0):
    """Write `text` to the right of the point (x, y), in the line's colour.

    `dy` moves it up, in points. Labels count in the layout, so they are not cut off.
    """
    ax.annotate(
        text,
        (x, y),
        xytext=(6, dy),
        textcoords="offset points",
        va="center",
        color=color,
        annotation_clip=False,
    )


def learning_curves(
    ax, train, valid=None, *, ylabel, x=None, xlabel="epoch", log=False
):
    """Draw training solid and validation dashed, each with its name at the line.

    Parameters
    ----------
    ax : Axes
    train, valid : array_like (n,)
        The measure after each epoch or step; `valid` may be left out.
    ylabel : str
        What is measured, and its unit.
    x : array_like (n,), optional
        Defaults to 1, 2, …, n.
    xlabel : str
        What `x` counts.
    log : bool
        Logarithmic vertical axis.

    >>> from dlbook_lib.common.figures import subplots
    >>> fig, ax = subplots()
    >>> learning_curves(ax, [2.3, 1.1, 0.6], [2.3, 1.4, 1.2], ylabel="cost (nats)")
    >>> [line.get_linestyle() for line in ax.lines]
    ['-', '--']
    """
    x = np.arange(1, len(train) + 1) if x is None else np.asarray(x)
    curves = [("training", train, "-", COLORS.train)]
    if valid is not None:
        curves.append(("validation", valid, "--", COLORS.valid))
    for name, y, stroke, color in curves:
        require(len(y) == len(x), f"{name} has {len(y)} values but x has {len(x)}")
        ax.plot(x, y, stroke, color=color)
    ax.set_yscale("log" if log else "linear")
    ax.set(xlabel=xlabel, ylabel=ylabel, xlim=(x[0], x[-1]))
    ends = [ax.transData.transform((x[-1], y[-1]))[1] for _, y, _, _ in curves]
    close = max(ends) - min(ends) < 25  # pixels: the names would touch
    for end, (name, y, _, color) in zip(ends, curves, strict=True):
        lift = 0 if len(curves) == 1 or not close else 8 if end == max(ends) else -8
        label_line(ax, x[-1], y[-1], name, color, dy=lift)


def scatter_classes(ax, X, y, *, classes=None, names=None, size=6.0):
    """Draw points, each class in its colour and its shape.

    Parameters
    ----------
    ax : Axes
    X : array_like (n, 2)
    y : array_like (n,)
        Labels.
    classes : sequence, optional
        Up to four labels: class A (blue circles), class B (orange squares), then green
        triangles and purple diamonds. By default the labels in `y`, in rising order; a
        class that may be missing from `y` needs naming here.
    names : sequence of str, optional
        One for each class; makes a legend above the axes.
    size : float
        Diameter, in points.
    """
    X, y = np.asarray(X), np.asarray(y)
    require(X.ndim == 2 and X.shape[1] == 2, f"X must be (n, 2), not {X.shape}")
    require(y.shape == X.shape[:1], f"y must be ({len(X)},) like X, not {y.shape}")
    classes = np.unique(y) if classes is None else classes
    require(len(classes) <= 4, f"there are {len(classes)} classes; at most 4 are drawn")
    for i, c in enumerate(classes):
        ax.plot(
            *X[y == c].T,
            MARKERS[i],
            color=COLORS.cycle[i],
            markersize=size,
            markeredgecolor=COLORS.paper,
            markeredgewidth=0.6,
            label=names[i] if names else None,
        )
    if names:
        place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1), "ncols": len(names)}
        ax.legend(handletextpad=0.1, columnspacing=1.2, borderpad=0.1, **place)


def decision_regions(ax, predict, xlim, ylim, *, threshold=0.0, points=120, fill=True):
    """Tint the plane by the predicted class and draw the boundary.

    Parameters
    ----------
    ax : Axes
    predict : callable
        Takes points (n, 2); gives scores (n,), class B where the score exceeds
        `threshold`; or scores (n, k), the class of the largest.
    xlim, ylim : (float, float)
    threshold : float
        0 for scores, 0.5 for probabilities.
    points : int
        Grid points along each side.
    fill : bool
        Tint the regions; otherwise only draw the boundary.
    """
    xs, ys = np.linspace(*xlim, points), np.linspace(*ylim, points)
    grid = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)  # (points², 2)
    scores = np.asarray(predict(grid))
    require(
        scores.ndim in (1, 2) and len(scores) == len(grid),
        f"predict must give ({len(grid)},) or ({len(grid)}, k), not {scores.shape}; "
        "does it return one score for each point?",
    )
    if scores.ndim == 1:
        scores = np.stack([threshold - scores, scores - threshold], axis=1)
    for k in range(scores.shape[1]):
        others = np.delete(scores, k, axis=1).max(axis=1)
        lead = (scores[:, k] - others).reshape(points, points)
        if not (lead > 0).any():
            continue
        if fill:
            levels = [0, max(lead.max(), 1e-12)]
            color = COLORS.cycle[k % 4]
            ax.contourf(xs, ys, lead, levels=levels, colors=[color], alpha=0.18)
        if k and (lead < 0).any():
            ax.contour(xs, ys, lead, levels=[0], colors=[COLORS.ink], linewidths=1.5)
    ax.set(xlim=xlim, ylim=ylim)


def image_grid(axes, images, titles=None, *, cmap="gray_r", vmin=None, vmax=None):
    """Show one image in each of the axes, pixel by pixel.

    Parameters
    ----------
    axes : Axes or ndarray of Axes
        As `subplots` gives them; what is left over stays empty.
    images : sequence of array_like (H, W), or (H, W, 3) in 0..1 or uint8
    titles : sequence of str, optional
        One for each image, written above it.
    cmap : str
        How numbers become greys: ``"gray_r"`` draws 0 as white paper.
    vmin, vmax : float, optional
        The numbers drawn as the two ends of `cmap`; by default those of all images
        together, so that greys can be compared.
    """
    axes, images = np.ravel(axes), [np.asarray(image) for image in images]
    require(len(images) <= len(axes), f"{len(images)} images, {len(axes)} axes")
    require(
        titles is None or len(titles) == len(images),
        f"{len(images)} images but {len(titles or [])} titles",
    )
    vmin = min(image.min() for image in images) if vmin is None else vmin
    vmax = max(image.max() for image in images) if vmax is None else vmax
    for ax in axes:
        ax.set_axis_off()
    for i, (ax, image) in enumerate(zip(axes, images, strict=False)):
        ax.imshow(image, cmap=cmap, vmin=vmin, vmax=vmax, interpolation="none")
        if titles is not None:
            ax.set_title(titles[i])

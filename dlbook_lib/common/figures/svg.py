"""From a Matplotlib figure to a small inline SVG that follows the page's colours."""

import html
import io
import re
import string
import zlib

from .style import INK, PAPER

PIXELS_PER_INCH = 92  # type of 14 points is then 18 px high, as the text of the page
GROUND = "Canvas"  # of the site, else of JupyterLab, else of Colab, else of the browser
for name in ("colab-primary-surface-color", "jp-layout-color0", "dl-paper"):
    GROUND = f"var(--{name}, {GROUND})"
DIGITS = string.digits + string.ascii_lowercase
NOISE = re.compile(r"<!--.*?-->|<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL)
PATH = re.compile(r' d="([^"]*)"')
PLACE = re.compile(r' (?:x|y|width|height)="[^"]*"|translate\([^)]*\)')
REFERENCE = re.compile(r'(href="#|url\(#)([^")]+)')
NUMBER = re.compile(r"-?\d+\.\d+")
ALONG = re.compile(r'(<use [^>]*?) transform="translate\(([\d.-]+) 0\)"')
GROUP = re.compile(r"<g\b[^>]*>|</g>")
MARKER = re.compile(r'(<use [^>]*?) style="([^"]*)"/>')
MARKERS = re.compile(r"<g([^>]*)>((?:\s*<use [^>]*/>)+)\s*</g>")


def figure_svg(fig, alt, key=None):
    """Render `fig` as inline SVG.

    The bytes depend on the figure alone: no date, no random id. Text is drawn as
    outlines, so it looks the same wherever it is read.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
    alt : str
        What the picture shows; becomes `aria-label`.
    key : str, optional
        The ids within the picture start with a hash of it (by default of `alt`), so
        that pictures with different keys can stand on one page.

    Returns
    -------
    str
        ``<svg …>…</svg>``
    """
    import matplotlib
    from matplotlib.figure import Figure

    if not isinstance(fig, Figure):
        raise TypeError(f"a picture must be a Figure, not {fig!r}; return or pass fig")
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "dlbook"}):
        file = io.StringIO()
        blank = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        fig.savefig(file, format="svg", metadata=blank)
    text = file.getvalue()
    size = re.search(r'viewBox="([^"]+)"', text)[1]
    body = text[text.index(">", text.index("<svg")) + 1 :]
    width = fig.get_figwidth() * PIXELS_PER_INCH
    head = (
        f'<svg role="img" aria-label="{html.escape(alt)}" viewBox="{size}" '
        f'style="display:block;width:100%;max-width:{width:.0f}px;height:auto;'
        f'--ground:{GROUND}">'
    )
    return head + _shorten(body, _prefix(key or alt))


def _prefix(key):
    """Six letters and digits that stand for `key`, the first one a letter."""
    code = zlib.crc32(key.encode())
    return "d" + "".join(DIGITS[code // 36**i % 36] for i in range(5))


def _shorten(body, prefix):
    body = NOISE.sub("", body)
    body = body.replace("xlink:href", "href")
    body = PATH.sub(lambda path: f' d="{_shorten_path(path[1])}"', body)
    body = PLACE.sub(lambda place: _round(place[0], 1), body)
    body = ALONG.sub(r'\1 x="\2"', body)  # letters of a line
    body = _without_bare_groups(MARKERS.sub(_hoist_style, body))
    used = dict.fromkeys(name for _, name in REFERENCE.findall(body))
    short = {name: f"{prefix}{i:x}" for i, name in enumerate(used)}
    body = re.sub(
        r' id="([^"]*)"',
        lambda m: f' id="{short[m[1]]}"' if m[1] in short else "",
        body,
    )
    body = REFERENCE.sub(lambda m: m[1] + short[m[2]], body)
    body = body.replace(INK, "currentColor").replace(PAPER, "var(--ground)")
    return re.sub(r"\n\s*", "\n", body).strip()


def _shorten_path(path):
    """Round to a tenth of a point; leave out the letters that SVG takes as read."""
    lines = [line.strip() for line in _round(path, 1).strip().split("\n")]
    pairs = zip(["", *lines], lines, strict=False)
    straight = [line[:1] == "L" and before[:1] in ("L", "M") for before, line in pairs]
    return "\n".join(
        line[2:] if implied else line
        for line, implied in zip(lines, straight, strict=True)
    )


def _round(text, digits):
    def short(number):
        number = f"{float(number[0]):.{digits}f}".rstrip("0").rstrip(".")
        return "0" if number == "-0" else number

    return NUMBER.sub(short, text)


def _without_bare_groups(body):
    """Drop ``<g>`` without attributes, and the ``</g>`` of each."""
    open_groups = []

    def kept(tag):
        if tag[0].endswith("/>"):
            return tag[0]
        if tag[0] != "</g>":
            open_groups.append(tag[0])
            return "" if tag[0] == "<g>" else tag[0]
        return "" if open_groups.pop() == "<g>" else tag[0]

    return GROUP.sub(kept, body)


def _hoist_style(group):
    """Write a style that all markers of a group share once, on the group."""
    styles = {style for _, style in MARKER.findall(group[2])}
    if len(styles) != 1 or "style=" in group[1]:
        return group[0]
    plain = MARKER.sub(r"\1/>", group[2])
    return f'<g{group[1]} style="{styles.pop()}">{plain}\n</g>'

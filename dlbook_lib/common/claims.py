"""Numbers the text leans on, measured again each time the book is built.

A `claim` fails the build when it leaves its band. `measured` shows numbers that change
from run to run, such as seconds, and promises nothing about them.
"""

import math
import re
from html import escape

from dlbook_lib.common.output import display_both


class ClaimError(AssertionError):
    """A measured value lies outside the band that the book claims for it."""


def claim(name, value, band, unit, source):
    """Display a measured value with its verdict; raise if it leaves its band.

    Parameters
    ----------
    name : str
        Page, dot, what is claimed: ``"xor.least_squares_loss"``. It is the anchor
        ``claim-<name>``, and it is unique in the book.
    value : float
        What was measured just now, in `unit`. A 0-d array or tensor will do.
    band : tuple of two floats
        The lowest and highest values that pass, both included. ``math.inf`` leaves an
        end open; equal ends ask for exactly that value.
    unit : str
        Unit of the value: ``"nats per example"``, ``"of 569 cases"``; may be empty.
    source : str
        Where the claim comes from: a paper and section, or a derivation on the page.

    Raises
    ------
    ClaimError
        After displaying, if `value` is NaN or outside `band`.
    ValueError
        If the claim is malformed: bad name, reversed band, no source.

    >>> claim("xor.best_line", 0.75, (0.75, 0.75), "of four points", "counting")
    Claim xor.best_line: passed. Band: exactly 0.75 of four points. Source: counting.
    """
    low, high = (float(end) for end in band)
    _check_form(name, low, high, source)
    value = float(value)
    passed = low <= value <= high
    verdict, wanted = "passed" if passed else "FAILED", _band(low, high)
    text = f"Claim {name}: {verdict}. Band: {_join(wanted, unit)}. Source: {source}."
    record = {"name": name, "unit": unit, "source": source, "passed": passed}
    record |= {"value": _json(value), "low": _json(low), "high": _json(high)}
    html = _claim_html(name, _join(wanted, unit), f"{value:.4g}", verdict, source)
    display_both(text, html, {"dlbook_claim": record})
    if not passed:
        raise ClaimError(
            f"claim {name}: measured {_join(f'{value:.12g}', unit)}, but its band is "
            f"{wanted}; find what changed before you touch the band"
        )


def measured(title, rows, unit=""):
    """Display a small table of numbers that change from run to run.

    Parameters
    ----------
    title : str
        What was measured.
    rows : dict of str to float or str
        Numbers are shown with four digits. The labels must not change from run to run.
    unit : str
        Unit of all numbers, ``"seconds"``; may be empty.

    >>> measured("One pass over the data", {"NumPy": 0.41, "PyTorch": 0.17}, "seconds")
    Measured in each run: One pass over the data (seconds): NumPy, PyTorch.
    """
    heading = f"{title} ({unit})" if unit else title
    text = f"Measured in each run: {heading}: {', '.join(map(str, rows))}."
    body = "".join(
        f'<tr><th scope="row" style="text-align:left">{escape(str(label))}</th>'
        f"<td>{escape(_number(value))}</td></tr>"
        for label, value in rows.items()
    )
    html = (
        '<table class="dl-measured" style="min-width:min(100%,24em)">'
        '<caption style="text-align:left;caption-side:top">'
        f"{escape(heading)}</caption><tbody>{body}</tbody></table>"
    )
    display_both(text, html)


def _check_form(name, low, high, source):
    if not re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+)+", name):
        raise ValueError(
            f"claim: name {name!r} should be page.what in lower case, like "
            "'xor.least_squares_loss'"
        )
    if not low <= high:
        raise ValueError(f"claim {name}: band ({low}, {high}) is not (low, high)")
    if not source:
        raise ValueError(f"claim {name}: say in `source` where it comes from")


def _band(low, high):
    if low == high:
        return f"exactly {low:.12g}"
    if low == -math.inf:
        return f"at most {high:.12g}"
    if high == math.inf:
        return f"at least {low:.12g}"
    return f"{low:.12g} to {high:.12g}"


def _join(number, unit):
    return f"{number} {unit}".strip()


def _json(number):
    """JSON has no NaN and no infinity: they become None."""
    return number if math.isfinite(number) else None


def _number(value):
    return value if isinstance(value, str) else f"{float(value):.4g}"


def _claim_html(name, wanted, value, verdict, source):
    rows = {
        "Claim": f"<code>{name}</code>",
        "Band": escape(wanted),
        "Measured": escape(value),
        "Verdict": {"passed": "✓ passed", "FAILED": "✗ FAILED"}[verdict],
        "Source": escape(source),
    }
    cells = "".join(
        f'<div><dt style="display:inline;font-weight:600">{term}</dt>'
        f'<dd style="display:inline;margin:0 0 0 .4em">{text}</dd></div>'
        for term, text in rows.items()
    )
    return (
        f'<div class="dl-claim" id="claim-{name}" data-verdict="{verdict.lower()}" '
        'style="border-left:.25em solid currentColor;padding:.2em .8em;font-size:.9em">'
        '<dl style="display:flex;flex-wrap:wrap;gap:.1em 1.4em;margin:0">'
        f"{cells}</dl></div>"
    )

"""Claims pass inside their band, are shown before they fail, and are stored stably."""

import json
import math
import re

import numpy as np
import pytest

from dlbook_lib.common.claims import ClaimError, claim, measured


def xor_loss(value, band=(0.24, 0.26)):
    return "xor.loss", value, band, "nats", "section 6.1"


@pytest.mark.parametrize("value", [0.24, 0.25, 0.26, np.float32(0.25), np.array(0.25)])
def test_ends_of_the_band_pass(displayed, value):
    claim(*xor_loss(value))
    assert displayed[0].metadata["dlbook_claim"] == {
        "name": "xor.loss",
        "value": pytest.approx(float(value)),
        "low": 0.24,
        "high": 0.26,
        "unit": "nats",
        "source": "section 6.1",
        "passed": True,
    }


@pytest.mark.parametrize("value", [0.2399, 0.2601, math.nan, math.inf])
def test_what_leaves_the_band_is_shown_and_then_raises(displayed, value):
    with pytest.raises(
        ClaimError, match=r"xor.loss: measured .* is 0.24 to 0.26; find"
    ):
        claim(*xor_loss(value))
    (output,) = displayed
    assert "FAILED" in output.data["text/plain"]
    assert output.metadata["dlbook_claim"]["passed"] is False


def test_plain_text_does_not_depend_on_the_value(displayed):
    claim(*xor_loss(0.2501))
    claim(*xor_loss(0.2499))
    first, second = displayed
    assert first.data["text/plain"] == second.data["text/plain"]
    assert first.data["text/html"] != second.data["text/html"]
    assert first.data["text/plain"] == (
        "Claim xor.loss: passed. Band: 0.24 to 0.26 nats. Source: section 6.1."
    )


def test_html_carries_an_anchor_the_value_and_no_colour_of_its_own(displayed):
    claim("a.b", 0.25, (0, 1), "<nats>", "Rumelhart & Hinton")
    html = displayed[0].data["text/html"]
    assert 'id="claim-a.b"' in html
    assert ">0.25<" in html
    assert "0 to 1 &lt;nats&gt;" in html
    assert "Rumelhart &amp; Hinton" in html
    assert not re.search(r"background|#[0-9a-f]{3,6}|[^-]color:", html)


@pytest.mark.parametrize(
    ("band", "words"),
    [
        ((3, 3), "exactly 3"),
        ((3, math.inf), "at least 3"),
        ((-math.inf, 3), "at most 3"),
    ],
)
def test_bands_in_words_and_in_json(displayed, band, words):
    claim("a.b", 3, band, "", "counting")
    (output,) = displayed
    assert f"Band: {words}. " in output.data["text/plain"]
    text = json.dumps(output.metadata, allow_nan=False)
    assert json.loads(text)["dlbook_claim"]["value"] == 3


@pytest.mark.parametrize(
    ("name", "band", "source", "sentence"),
    [
        ("xor", (0, 1), "s", "should be page.what"),
        ("Xor.Loss", (0, 1), "s", "should be page.what"),
        ("xor.loss", (1, 0), "s", r"is not \(low, high\)"),
        ("xor.loss", (math.nan, 1), "s", r"is not \(low, high\)"),
        ("xor.loss", (0, 1), "", "say in `source`"),
    ],
)
def test_a_malformed_claim_is_refused(name, band, source, sentence):
    with pytest.raises(ValueError, match=sentence):
        claim(name, 0.5, band, "", source)


def test_measured_keeps_numbers_out_of_the_plain_text(displayed):
    rows = {"NumPy": 0.123456, "PyTorch & co": "none"}
    measured("One pass", rows, "seconds")
    (output,) = displayed
    assert output.data["text/plain"] == (
        "Measured in each run: One pass (seconds): NumPy, PyTorch & co."
    )
    assert "0.1235" in output.data["text/html"]
    assert "PyTorch &amp; co" in output.data["text/html"]

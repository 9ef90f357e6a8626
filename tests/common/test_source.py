"""The source as it stands in the file, plain and highlighted."""

import inspect
import re

import pytest
from bs4 import BeautifulSoup

from dlbook_lib.common import checks
from dlbook_lib.common.source import show_source


@pytest.mark.parametrize(
    ("thing", "heading"),
    [
        (checks.require, "# dlbook_lib/common/checks.py :: require"),
        (checks, "# dlbook_lib/common/checks.py"),
    ],
)
def test_plain_text_is_the_source_under_its_file(displayed, thing, heading):
    show_source(thing)
    text = displayed[0].data["text/plain"]
    assert text == f"{heading}\n{inspect.getsource(thing).rstrip()}"


def test_docstrings_may_be_left_out(displayed):
    show_source(checks.check_in, docstrings=False)
    text = displayed[0].data["text/plain"]
    assert '"""' not in text
    assert "is_one = any(" in text
    assert text.startswith("# dlbook_lib/common/checks.py :: check_in\ndef check_in(")


def test_html_says_the_same_with_classes_and_without_colours(displayed):
    show_source(checks.check_in)
    data = displayed[0].data
    html = BeautifulSoup(data["text/html"], "html.parser")
    assert html.get_text() == data["text/plain"]
    assert html.div["class"] == ["highlight", "dl-source"]
    assert html.find("span", class_="k")
    assert not re.search(r"background|color|<style", data["text/html"])


@pytest.mark.parametrize("thing", [len, 3, checks.np.float64])
def test_what_has_no_source_is_refused(thing):
    with pytest.raises(TypeError, match="has no Python source"):
        show_source(thing)

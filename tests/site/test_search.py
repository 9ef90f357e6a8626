"""The search page finds words, from http and from the disk."""

import pytest


@pytest.mark.parametrize("place", ["http", "disk"])
def test_search_finds_a_page(site, served, open_page, place):
    root = served if place == "http" else site.resolve().as_uri()
    tab, heard = open_page(f"{root}/search.html?q=notation")
    tab.wait_for_selector("#search-results li a")
    links = tab.eval_on_selector_all(
        "#search-results li a", "all => all.map(a => a.href)"
    )
    assert any("book/notation.html" in link for link in links)
    assert heard.problems == []
    tab.close()


def test_search_field_of_a_page_leads_to_the_results(served, open_page):
    tab, _ = open_page(f"{served}/book/notation.html")
    tab.keyboard.press("Control+k")
    tab.keyboard.type("gradient")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/search.html?q=gradient")
    tab.close()

"""Read without a browser: links, buttons and downloaded notebooks of the built site."""

import json
import re
from functools import cache
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup

from tools.pages import ROOT, entries

CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
LINKS = {"a": "href", "img": "src", "script": "src", "link": "href"}
MYST = re.compile(r"\{[a-z][\w:-]*\}`|^:{3,}|^`{3,}\{|^\(\S+\)=\s*$", re.MULTILINE)


@cache
def read(path):
    return BeautifulSoup(path.read_text("utf-8"), "html.parser")


@cache
def anchors(path):
    return {tag["id"] for tag in read(path).find_all(id=True)}


def addresses(soup):
    for tag, name in LINKS.items():
        for element in soup.find_all(tag, attrs={name: True}):
            yield element[name]


def is_broken(path, address):
    """Whether an address in the file at `path` leads to no file or no anchor."""
    parts = urlsplit(address)
    if parts.scheme:
        return False
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_file():
        return True
    return bool(parts.fragment) and unquote(parts.fragment) not in anchors(target)


def prose(path):
    """All Markdown of a notebook."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return "\n".join(c["source"] for c in cells if c["cell_type"] == "markdown")


def test_every_entry_of_the_contents_is_built(site):
    missing = [name for name in entries() if not (site / f"{name}.html").exists()]
    assert missing == []


def test_links_anchors_and_images_resolve(site, built):
    path = (site / built).resolve()
    assert [a for a in addresses(read(path)) if is_broken(path, a)] == []


def test_ids_are_unique(site, built):
    ids = [tag["id"] for tag in read((site / built).resolve()).find_all(id=True)]
    assert sorted(ids) == sorted(set(ids))


def test_buttons_follow_the_configuration(site, built_notebook):
    repository, branch = CONFIG["repository"]["url"], CONFIG["repository"]["branch"]
    name = repository.removeprefix("https://github.com/")
    page = built_notebook.removesuffix(".html")
    actions = read((site / built_notebook).resolve()).select("a.dl-action")
    found = {a["data-action"]: a["href"] for a in actions}
    path = f"{page}.ipynb"
    colab, binder = "https://colab.research.google.com", "https://mybinder.org"
    assert found.pop("download").endswith(f"_sources/{path}")
    assert found == {
        "colab": f"{colab}/github/{name}/blob/{branch}/{path}",
        "binder": f"{binder}/v2/gh/{name}/{branch}?urlpath=lab/tree/{path}",
        "edit": f"{repository}/edit/{branch}/{path}",
        "issue": f"{repository}/issues/new?title={page}",
    }


def test_downloaded_notebook_reads_without_myst(site, built_notebook):
    text = prose((site / "_sources" / built_notebook).with_suffix(".ipynb"))
    assert MYST.findall(text) == []
    assert re.findall(r"\]\((?!https?:|#)[^)]*\)", text) == []


def test_downloaded_notebook_numbers_equations_like_the_page(site, built_notebook):
    text = prose((site / "_sources" / built_notebook).with_suffix(".ipynb"))
    soup = read((site / built_notebook).resolve())
    numbers = {e.get_text().strip("()#") for e in soup.select("span.eqno")}
    assert set(re.findall(r"\\tag\{([\d.]+)\}", text)) <= numbers

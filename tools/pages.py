"""The pages of the book in reading order, and where each keeps its code and tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[1]


class Page(NamedTuple):
    """One notebook of the book; all paths are relative to the root."""

    path: Path  # chapters/01_feedforward/xor.ipynb
    chapter: str | None  # "feedforward"; None for front matter
    name: str  # "xor"
    package: str | None  # "dlbook_lib.feedforward.xor"; None without own code
    tests: Path | None  # tests/feedforward/xor; None without own code


def entries(root: Path = ROOT) -> list[str]:
    """Every document named in `_toc.yml`, in its order, without a suffix."""

    def walk(node) -> Iterator[str]:
        if isinstance(node, list):
            for item in node:
                yield from walk(item)
        elif isinstance(node, dict):
            for key, value in node.items():
                if key in ("root", "file"):
                    yield value
                elif key in ("parts", "chapters", "sections"):
                    yield from walk(value)

    return list(walk(yaml.safe_load((root / "_toc.yml").read_text("utf-8"))))


def pages(root: Path = ROOT) -> list[Page]:
    """The entries of `_toc.yml` that are notebooks, in its order."""
    return [
        page_at(Path(f"{entry}.ipynb"))
        for entry in entries(root)
        if (root / f"{entry}.ipynb").exists()
    ]


def page_at(path: Path) -> Page:
    """The page whose notebook is at `path`, relative to the root.

    >>> page_at(Path("chapters/01_feedforward/xor.ipynb")).package
    'dlbook_lib.feedforward.xor'
    """
    name = path.stem
    if path.parts[0] != "chapters":
        return Page(path, None, name, None, None)
    chapter = path.parts[1].partition("_")[2]
    if name == "solutions":
        return Page(path, chapter, name, None, None)
    package = f"dlbook_lib.{chapter}.{name}"
    return Page(path, chapter, name, package, Path("tests", chapter, name))

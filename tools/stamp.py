"""Stamp the bootstrap cell of every page with the repository's address.

The address stands once, under `repository` in `_config.yml`.

Usage: python -m tools.stamp [--check]
"""

import argparse
import sys
from pathlib import Path

import yaml

from tools.execution.notebook import code_cells, read, write
from tools.pages import ROOT, pages

CELL = """\
# On Google Colab this installs what is missing; elsewhere it does nothing.
import sys

if "google.colab" in sys.modules:
    import subprocess
    from importlib.util import find_spec

    book = "dlbook_lib @ git+{url}@{branch}"
    needs = [book, "filelock", "mnist1d", "platformdirs", "tqdm"]
    if missing := [need for need in needs if not find_spec(need.split()[0])]:
        pip = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps"]
        subprocess.run([*pip, *missing], check=True)"""


def bootstrap(root: Path = ROOT) -> str:
    """The source of the bootstrap cell."""
    config = yaml.safe_load((root / "_config.yml").read_text("utf-8"))
    repository = config.get("repository", {})
    if not repository.get("url") or not repository.get("branch"):
        raise SystemExit("_config.yml: give repository.url and repository.branch")
    url = repository["url"].removesuffix("/")
    return CELL.format(url=url, branch=repository["branch"])


def problems(root: Path = ROOT) -> list[str]:
    """A sentence for each page whose first code cell is not the bootstrap cell."""
    source = bootstrap(root)
    found = []
    for page in pages(root):
        cells = code_cells(read(root / page.path))
        if not cells or cells[0].id != "bootstrap":
            found.append(f"{page.path}: its first code cell must have id bootstrap")
        elif cells[0].source != source:
            found.append(
                f"{page.path}: stale bootstrap cell; run: python -m tools.stamp"
            )
    return found


def stamp(root: Path = ROOT) -> list[Path]:
    """Bring every bootstrap cell up to date; the pages that changed."""
    source = bootstrap(root)
    changed = []
    for page in pages(root):
        notebook = read(root / page.path)
        stale = [
            cell
            for cell in code_cells(notebook)
            if cell.id == "bootstrap" and cell.source != source
        ]
        for cell in stale:
            cell.source = source
        if stale:
            write(root / page.path, notebook)
            changed.append(page.path)
    return changed


def main(arguments: list[str], root: Path = ROOT) -> int:
    """The exit status of the command line: 1 if a check finds a stale cell."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing")
    if parser.parse_args(arguments).check:
        found = problems(root)
        print(*found, sep="\n", end="\n" if found else "")
        return 1 if found else 0
    for path in stamp(root):
        print(f"stamped {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`make execute PAGES=…`: run pages again and store their text outputs.

For when a change of outputs is meant. A page of which a cell raises is left as it is.

Usage: python -m tools.execute [page or folder …]
"""

import sys
from pathlib import Path

from tools.execution.run import all_pages, run_pages, select
from tools.pages import ROOT


def main(words: list[str], root: Path = ROOT) -> int:
    """The exit status of the command line; without words all pages are run."""
    try:
        pages = all_pages(root)
        chosen = select(pages, words) if words else pages
        return 0 if run_pages(root, chosen, accept=True) else 1
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

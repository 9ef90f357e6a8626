"""Run pages under nbval, in parallel, in kernels that are the same everywhere."""

import difflib
import os
import re
import subprocess
import sys
from pathlib import Path

from tools import pages as book
from tools.execution.notebook import code_cells, read
from tools.execution.store import Store

REPOSITORY = Path(__file__).resolve().parents[2]
CELL_SECONDS = 60
KERNEL = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "SOURCE_DATE_EPOCH": "0",
}


def all_pages(root: Path) -> list[str]:
    """Every page of the book in its order, as "chapters/01_feedforward/xor"."""
    return [page.path.with_suffix("").as_posix() for page in book.pages(root)]


def select(pages: list[str], words: list[str]) -> list[str]:
    """The pages that the words name: a page, a folder of pages, a page's last name.

    >>> select(["book/how_to_read", "chapters/01_a/xor"], ["chapters/01_a/"])
    ['chapters/01_a/xor']
    >>> select(["book/how_to_read", "chapters/01_a/xor"], ["xor.ipynb"])
    ['chapters/01_a/xor']
    >>> select(["book/how_to_read", "chapters/01_a/xor"], ["01_a/xorr"])
    Traceback (most recent call last):
    ValueError: PAGES: no page is called '01_a/xorr'; nearest: chapters/01_a/xor
    """
    chosen: set[str] = set()
    for word in re.split(r"[\s,]+", " ".join(words).strip()):
        name = word.removeprefix("./").removesuffix(".ipynb").rstrip("/")
        found = {page for page in pages if f"/{page}/".find(f"/{name}/") >= 0}
        if not found:
            raise ValueError(
                f"PAGES: no page is called {word!r}; nearest: {_nearest(name, pages)}"
            )
        chosen |= found
    return [page for page in pages if page in chosen]


def _nearest(name: str, pages: list[str]) -> str:
    called = {page.rpartition("/")[2]: page for page in pages}
    called |= {page.rpartition("/")[0]: page.rpartition("/")[0] for page in pages}
    called |= {page: page for page in pages}
    near = difflib.get_close_matches(name, called, n=3) or list(called)
    return ", ".join(dict.fromkeys(called[each] for each in near))


def stale(root: Path, pages: list[str]) -> list[str]:
    """Of the pages, those with code whose last validated run no longer holds."""
    store = Store(root)
    return [
        page
        for page in pages
        if code_cells(read(root / f"{page}.ipynb")) and not store.fresh(page)
    ]


def run_pages(
    root: Path, pages: list[str], *, accept: bool = False, limit: float = CELL_SECONDS
) -> bool:
    """Execute and validate the pages; True if all cells of all passed.

    With `accept` the outputs are not compared but stored in the notebooks. A page that
    fails leaves no record. `limit` is in seconds for each cell.
    """
    if not pages:
        return True
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env"]
    command += [f"--nbval-cell-timeout={limit:g}", "-p", "tools.execution.plugin"]
    workers = "auto" if len(pages) > 1 else "0"
    command += ["-n", workers, f"--maxprocesses={len(pages)}", "--dist", "loadfile"]
    command += ["-p", "no:cacheprovider", "-o", "addopts=", f"--rootdir={root}"]
    command += ["--capture=no", "--tb=short", f"--book-root={root}"]
    command += ["--book-accept"] if accept else []
    command += [str(root / f"{page}.ipynb") for page in pages]
    log = root / "_build" / "nbval.log"
    log.parent.mkdir(exist_ok=True)
    sys.stdout.flush()
    with log.open("w", encoding="utf-8") as pytest_output:
        status = subprocess.run(
            command, cwd=root, env=environment(root), stdout=pytest_output, stderr=1
        ).returncode
    if status not in (0, 1):
        print(log.read_text("utf-8"))
    changed = stale(root, pages) if status == 0 else []
    for page in changed:
        print(f"  {page} or what it depends on was edited while it ran: run it again")
    return status == 0 and not changed


def environment(root: Path) -> dict[str, str]:
    """The same for every kernel: one thread, the book's library, no user's settings."""
    path = [str(root), str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    scratch = root / "_build" / "ipython"
    scratch.mkdir(parents=True, exist_ok=True)
    extra = {"PYTHONPATH": os.pathsep.join(filter(None, path))}
    outer = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    return outer | KERNEL | extra | {"IPYTHONDIR": str(scratch)}

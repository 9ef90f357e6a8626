"""`make book`: fetch data, check copied cells, run and validate pages, build the site.

Usage: python -m tools.build [page or folder …]
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dlbook_lib.common.data import FetchError
from tools import fetch_data, stamp, sync_cells
from tools.execution.notebook import replace_file
from tools.execution.run import REPOSITORY, all_pages, run_pages, select, stale
from tools.execution.store import Store
from tools.pages import ROOT

MACHINERY = ("_config.yml", "_toc.yml", "requirements.txt", "book/_ext", "tools")
CONTENT = ("book", "chapters", "_build/execution")
STAGES = ("reading sources... ", "writing output... ")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
TROUBLE = ("WARNING", "ERROR", "Error:", "Exception occurred")


class BuildError(Exception):
    """The build cannot go on; the text says why and what to do."""


def build(words: list[str], root: Path = ROOT) -> None:
    """Build the book at `root`; of its pages run those named, if any is named."""
    started = time.perf_counter()
    pages = all_pages(root)
    chosen = select(pages, words) if words else pages
    with step("1/3 data and copied cells"):
        fetch_data.fetch(root, chosen)
        check_cells(root)
    with step("2/3 pages"):
        executed = validate(root, chosen)
        waiting = stale(root, pages)
        Store(root).keep_only([page for page in pages if page not in waiting])
    with step("3/3 site"):
        build_site(root)
    unchanged = len(pages) - executed - len(waiting)
    print(
        f"\n{len(pages)} pages: {executed} executed, {unchanged} unchanged, "
        f"{len(waiting)} with stored text; "
        f"{time.perf_counter() - started:.1f} s\n"
        f"Read it: make serve, or {(root / '_build/html/index.html').as_uri()}"
    )


def check_cells(root: Path) -> None:
    """Stop unless every copied cell and every bootstrap cell is as it should be."""
    if sync_cells.main(["--check"], root) + stamp.main(["--check"], root):
        raise BuildError("Cells that are copied into pages are stale, see above.")


def validate(root: Path, pages: list[str]) -> int:
    """Run the pages that changed, and stop unless all passed; how many were run."""
    waiting = stale(root, pages)
    if len(waiting) < len(pages):
        print(f"  {len(pages) - len(waiting)} unchanged, not executed")
    if not run_pages(root, waiting):
        raise BuildError("Pages failed, see above.")
    return len(waiting)


def build_site(root: Path) -> None:
    """Run Jupyter Book unless nothing that it reads has changed since its last run."""
    done, doctrees = root / "_build/site.json", root / "_build/.doctrees"
    before = json.loads(done.read_text("utf-8")) if done.exists() else {}
    now = {"machinery": digest(root, MACHINERY), "content": digest(root, CONTENT)}
    if before == now and (root / "_build/html/index.html").exists():
        print("  unchanged, not built")
        (root / "_build/html/.built").touch()  # still as new as its sources
        return
    if before.get("machinery") != now["machinery"]:
        shutil.rmtree(doctrees, ignore_errors=True)
    # Sphinx warns of a page only when it reads it: after a failure it must read all.
    done.unlink(missing_ok=True)
    if not jupyter_book(root):
        raise BuildError("The site was not built, see above; all is in _build/site.log")
    replace_file(done, json.dumps(now))


def jupyter_book(root: Path) -> bool:
    """Run Jupyter Book with a line for each page; True if it had nothing to say."""
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(root)]
    command += ["-W", "--keep-going", "--path-output", str(root)]
    path = [str(root), str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, path))}
    lines = []
    with subprocess.Popen(
        command,
        cwd=root,
        env=environment,
        text=True,
        encoding="utf-8",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        for line in process.stdout:
            lines.append(COLOUR.sub("", line))
            if lines[-1].startswith(STAGES):
                print(f"  {lines[-1].rstrip()}", flush=True)
    replace_file(root / "_build" / "site.log", "".join(lines))
    if process.returncode:
        trouble = [line for line in lines if any(word in line for word in TROUBLE)]
        print("".join(trouble or lines[-20:]), flush=True)
    return process.returncode == 0


def digest(root: Path, names: tuple[str, ...]) -> str:
    """A hash over the names and contents of files and of all files in folders."""
    total = hashlib.sha256()
    for name in names:
        path = root / name
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                content = file.read_bytes()
                total.update(f"{file.relative_to(root)} {len(content)}\n".encode())
                total.update(content)
    return total.hexdigest()


@contextmanager
def step(title: str) -> Iterator[None]:
    """Say what is going on, and afterwards how long it took."""
    started = time.perf_counter()
    print(f"[{title}]", flush=True)
    yield
    print(f"  {time.perf_counter() - started:.1f} s", flush=True)


def main(words: list[str], root: Path = ROOT) -> int:
    """The exit status of the command line."""
    try:
        build(words, root)
    except (BuildError, FetchError, ValueError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "\nStopped. What has passed is kept: run it again to go on.",
            file=sys.stderr,
        )
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

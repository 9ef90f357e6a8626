"""Lay out a new page: notebook, package, tests, solutions, and its line in _toc.yml.

What is laid out is a draft, small but true: it runs, and it passes every structure
test. It stops being a draft when its metadata no longer says so. Where the library has
the page's package already, the package stays, and the notebook shows it.

Usage: python -m tools.new_page feedforward/depth_and_width
"""

import difflib
import subprocess
import sys
import textwrap
from pathlib import Path
from string import Template
from typing import NamedTuple

import nbformat
import yaml

from tools import stamp
from tools.execution.notebook import read, write
from tools.execution.run import run_pages
from tools.pages import ROOT
from tools.sync_cells import copied, filled

SKELETON = Path(__file__).with_name("skeleton")


class Plan(NamedTuple):
    """What the syllabus knows of a page."""

    folder: str  # "01_feedforward"
    page: str  # "depth_and_width"
    title: str
    minutes: int
    purpose: str
    chapter_title: str

    @property
    def words(self) -> dict[str, str]:
        """What the skeleton's marks stand for."""
        package = f"dlbook_lib.{self.folder.partition('_')[2]}.{self.page}"
        return {k: str(v) for k, v in self._asdict().items()} | {
            "folder": package.replace(".", "/"),
            "package": package,
            "purpose": textwrap.fill(self.purpose, 86),
            "slug": self.page.replace("_", "-"),
        }


class Skeleton(Template):
    """Marks are %{word}, so that dollars stay what they are in mathematics."""

    delimiter = "%"


def plan(root: Path, name: str) -> Plan:
    """The plan of the page called "chapter/page"; a sentence if there is none."""
    syllabus = yaml.safe_load((root / "book/syllabus.yml").read_text("utf-8"))
    known = {
        f"{entry['chapter'].partition('_')[2]}/{page}": page
        for page, entry in syllabus["pages"].items()
    }
    short = name.strip("/").removeprefix("chapters/").removesuffix(".ipynb")
    short = short.lstrip("0123456789_")
    if short not in known:
        near = difflib.get_close_matches(short, known, n=3, cutoff=0.3) or list(known)
        raise SystemExit(
            f"book/syllabus.yml plans no page {name!r}; give chapter/page, for example "
            f"{', '.join(near[:3])}"
        )
    page = known[short]
    entry = syllabus["pages"][page]
    folder = entry["chapter"]
    fields = (entry["title"], entry["minutes"], entry["purpose"])
    return Plan(folder, page, *fields, syllabus["chapters"][folder])


def lay_out(root: Path, name: str) -> list[Path]:
    """Write the page's files under `root`; the two notebooks, not yet executed."""
    new = plan(root, name)
    words = new.words
    notebook = root / "chapters" / new.folder / f"{new.page}.ipynb"
    solutions = notebook.with_name("solutions.ipynb")
    package = root / words["folder"]
    tests = root / "tests" / Path(words["folder"]).relative_to("dlbook_lib")
    for path in (notebook, package / "exercises.py"):
        if path.exists():
            raise SystemExit(f"{path.relative_to(root)} exists; edit it, or remove it")
    coded = (package / "scratch.py").exists()

    chapter_init = package.parent / "__init__.py"
    if not chapter_init.exists():
        _write(chapter_init, f'"""{new.chapter_title}."""\n')
    if not coded:
        _write(package / "__init__.py", f'"""{textwrap.fill(new.purpose, 80)}"""\n')
    for module in ("exercises",) if coded else ("scratch", "pytorch", "exercises"):
        _write(package / f"{module}.py", _text(f"{module}.py", words))
        _write(tests / f"test_{module}.py", _text(f"test_{module}.py", words))

    page = "page_around" if coded else "page"
    write(notebook, _notebook(root, page, words, draft=True, minutes=new.minutes))
    if not solutions.exists():
        write(solutions, _notebook(root, "solutions", words))
    answers = read(solutions)
    answers.cells += _cells(root, "solution", words)
    write(solutions, answers)
    enter(root, new)
    ruff = [sys.executable, "-m", "ruff", "format", "--quiet"]
    subprocess.run([*ruff, notebook, solutions, package, tests], check=True)
    return [notebook.relative_to(root), solutions.relative_to(root)]


def enter(root: Path, new: Plan) -> None:
    """Put the page into _toc.yml, where the syllabus has it; a new chapter likewise."""
    syllabus = yaml.safe_load((root / "book/syllabus.yml").read_text("utf-8"))
    order = [f"chapters/{e['chapter']}/{p}" for p, e in syllabus["pages"].items()]
    folders = list(syllabus["chapters"])
    toc = yaml.safe_load((root / "_toc.yml").read_text("utf-8"))
    front = toc["parts"][0]

    def chapter(part):
        """Number of the part's chapter; −1 for front matter, a high one for back."""
        path = Path(part["chapters"][0]["file"])
        if path.parts[0] == "chapters":
            return folders.index(path.parts[1])
        return -1 if part is front else len(folders)

    number = folders.index(new.folder)
    for part in toc["parts"]:
        if chapter(part) == number:
            files = part["chapters"]
            break
    else:
        files = [{"file": f"chapters/{new.folder}/solutions"}]
        toc["parts"].append({"caption": new.chapter_title, "chapters": files})
        toc["parts"].sort(key=chapter)
    files.append({"file": f"chapters/{new.folder}/{new.page}"})
    files.sort(key=lambda f: order.index(f["file"]) if f["file"] in order else 10**6)
    (root / "_toc.yml").write_text(_as_yaml(toc), "utf-8")


def main(arguments: list[str], root: Path = ROOT) -> int:
    """The exit status of the command line."""
    if len(arguments) != 1:
        raise SystemExit(__doc__.rpartition("\n\n")[2].strip())
    paths = lay_out(root, arguments[0])
    names = [path.with_suffix("").as_posix() for path in paths]
    print(f"Laid out {names[0]}; executing it once.")
    if not run_pages(root, names, accept=True):
        return 1
    print(
        f"Edit {paths[0]} and its package, and after each change:\n"
        f"  .venv/bin/python -m tools.sync_cells {paths[0]}\n"
        f"  make execute PAGES={names[0]}\n"
        "When it has its figures and exercises, take draft out of its metadata."
    )
    return 0


def _text(name: str, words: dict[str, str]) -> str:
    return Skeleton((SKELETON / f"{name}.in").read_text("utf-8")).substitute(words)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _cells(root: Path, name: str, words: dict[str, str]) -> list:
    """The cells of a skeleton; each begins with a line "%% kind id"."""
    text = (SKELETON / f"{name}.in").read_text("utf-8")
    cells = []
    for block in text.split("%% ")[1:]:
        head, _, source = Skeleton(block).substitute(words).partition("\n")
        kind, cell_id = head.split()
        source = source.strip("\n")
        if cell_id == "bootstrap":
            source = stamp.bootstrap(root)
        elif copied(source):
            source = filled(root, source)
        make = getattr(nbformat.v4, f"new_{kind}_cell")
        cells.append(make(source, id=cell_id))
    return cells


def _notebook(root: Path, name: str, words: dict[str, str], **dlbook):
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {
        "kernelspec": kernel,
        "language_info": {"name": "python"},
        "dlbook": {"builds_on": [], "covers": {}, **dlbook} if dlbook else {},
    }
    cells = _cells(root, name, words)
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


class _Indented(yaml.SafeDumper):
    def increase_indent(self, flow=False, indentless=False):
        return super().increase_indent(flow, False)


def _as_yaml(data: dict) -> str:
    return yaml.dump(data, Dumper=_Indented, sort_keys=False, allow_unicode=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A pytest plugin beside nbval: keep what passed, say plainly what did not.

Loaded by `tools.execution.run` as `pytest --nbval -p tools.execution.plugin`. The cells
of a page run in one process; when all have passed, their outputs go into the store.
"""

import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty

import nbval.plugin
import pytest
from nbval.plugin import IPyNbFile, NbCellError

from tools.execution.key import page_key
from tools.execution.notebook import first_line, stripped, with_outputs, write
from tools.execution.store import Store

NOT_COMPARED = ("text/html", "image/svg+xml")
SHOWN_LINES = 12


class WatchedKernel(nbval.plugin.RunningKernel):
    """nbval's kernel, except that its death is noticed at once."""

    def await_reply(self, msg_id, timeout=None):
        deadline = time.monotonic() + (timeout or float("inf"))
        while True:
            try:
                return super().await_reply(msg_id, timeout=1)
            except Empty:
                if not self.is_alive():
                    raise RuntimeError("the kernel died") from None
                if time.monotonic() > deadline:
                    raise


@dataclass
class Run:
    """One page on its way through nbval."""

    page: str
    key: str
    started: float = field(default_factory=time.perf_counter)
    seconds: list[float] = field(default_factory=list)
    failed: bool = False
    broken: bool = False  # a cell did not finish: those after it would only follow it


def pytest_addoption(parser):
    group = parser.getgroup("book")
    group.addoption("--book-root", default=".", help="Folder of the book.")
    group.addoption(
        "--book-accept",
        action="store_true",
        help="Store the outputs of this run in the notebooks instead of comparing.",
    )


def pytest_configure(config):
    nbval.plugin.RunningKernel = WatchedKernel
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Reporter(config))


def pytest_collectstart(collector):
    if isinstance(collector, IPyNbFile):
        collector.skip_compare += NOT_COMPARED


def pytest_collection_modifyitems(config, items):
    if config.option.book_accept:
        for item in items:
            item.options["check"] = False
            item.cell.outputs = []


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if not hasattr(item.parent, "run"):
        store, page = _store(item), _page(item)
        item.parent.run = Run(page, page_key(store.root, page))
        store.forget(page)
    if item.parent.run.broken:
        pytest.skip("an earlier cell of the page did not finish")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    run, started = item.parent.run, time.perf_counter()
    try:
        _check_form(item)
        return (yield)
    except BaseException as error:
        what = _what_happened(item, error)
        run.failed = True
        run.broken = not what.startswith("its output differs")
        item.user_properties.append(("failure", _place(item, what)))
        raise
    finally:
        run.seconds.append(round(time.perf_counter() - started, 3))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item, nextitem):
    result = yield
    if nextitem is None or nextitem.parent is not item.parent:
        run = getattr(item.parent, "run", None)
        if run and _all_passed(item, run):
            _keep(item, run)
            seconds = time.perf_counter() - run.started
            item.user_properties.append(("passed", f"{run.page}  {seconds:.1f} s"))
        else:
            item.user_properties.append(("ended", f"{_page(item)}  failed"))
    return result


def _all_passed(item, run):
    cells = [each for each in item.session.items if each.parent is item.parent]
    return not run.failed and len(run.seconds) == len(cells)


def _keep(item, run):
    """Put the run into the store; if asked to, its text outputs into the notebook."""
    store, parent = _store(item), item.parent
    cells = [each for each in item.session.items if each.parent is parent]
    executed = with_outputs(parent.nb, [each.test_outputs for each in cells])
    if item.config.option.book_accept:
        write(item.path, stripped(executed))
        run.key = page_key(store.root, run.page)
    total = round(time.perf_counter() - run.started, 3)
    store.keep(run.page, run.key, executed, run.seconds, total)


def _store(item):
    return Store(Path(item.config.option.book_root))


def _page(item):
    return item.path.relative_to(_store(item).root).with_suffix("").as_posix()


def _check_form(item):
    """Refuse what would make nbval pass over a cell without comparing it."""
    if item.config.option.book_accept:
        return
    if set(item.options) - {"check"} or not item.options["check"]:
        raise ValueError("an NBVAL marker or tag keeps this cell from being checked")
    if item.cell.execution_count is None:
        raise ValueError("it has no execution count, so its output is not compared")


def _what_happened(item, error):
    """One plain sentence, then the lines that show it."""
    raised = [out for out in item.test_outputs or [] if out.output_type == "error"]
    if "Timeout" in str(error):
        return f"it timed out: {error}"
    if raised:
        out = raised[-1]
        verb = (
            "a claim is out of its band" if out.ename == "ClaimError" else "it raised"
        )
        return f"{verb}: {out.ename}: {out.evalue}"
    if isinstance(error, NbCellError) and error.inner_traceback:
        shown = _plain(error.inner_traceback).splitlines()
        lines = [line for line in shown if line.strip()][:SHOWN_LINES]
        return "\n".join(["its output differs from the stored one:", *lines])
    return f"it could not be checked: {error}"


def _place(item, what):
    return {
        "page": _page(item),
        "cell": f"code cell {item.cell_num + 1} ({item.cell.get('id', 'no id')})",
        "first_line": first_line(item.cell),
        "what": what,
    }


def _plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


class Reporter:
    """One line for each page as it ends, and at the end what to do about failures.

    It writes to stderr; pytest's own output, on stdout, is for nobody unless it fails.
    """

    def __init__(self, config):
        self.total = len(config.args)
        self.accepting = config.option.book_accept
        self.ended = 0
        self.failures: dict[str, list[dict]] = {}

    def pytest_runtest_logreport(self, report):
        notes = dict(report.user_properties)
        if report.failed:
            self._add(notes.get("failure") or _without_place(report))
        if report.when == "teardown" and notes.keys() & {"passed", "ended"}:
            self.ended += 1
            line = notes.get("passed") or notes["ended"]
            say(f"  [{self.ended}/{self.total}] {line}")

    def pytest_collectreport(self, report):
        if report.failed:
            self._add(_without_place(report))

    def pytest_terminal_summary(self):
        for page, (first, *others) in self.failures.items():
            say(f"\n{page}, {first['cell']}: {first['first_line']}")
            for line in first["what"].splitlines():
                say(f"    {_plain(line)}")
            if others:
                say(f"  also: {', '.join(each['cell'] for each in others)}")
            say(f"  {self._advice(page, first['what'])}")

    def _add(self, failure):
        self.failures.setdefault(failure["page"], []).append(failure)

    def _advice(self, page, what):
        if what.startswith("its output differs") or "no execution count" in what:
            return f"If the change is meant: make execute PAGES={page}"
        if what.startswith("a claim"):
            return "Find what moved the value; the band is part of the text."
        again = "execute" if self.accepting else "book"
        return f"Repair the cell, then: make {again} PAGES={page}"


def say(text):
    print(text, file=sys.stderr, flush=True)


def _without_place(report):
    """What fails outside a cell: a worker that dies, a kernel that does not start."""
    return {
        "page": report.nodeid.partition("::")[0].removesuffix(".ipynb"),
        "cell": "outside a cell" if "::" not in report.nodeid else report.nodeid,
        "first_line": "",
        "what": f"it could not be run: {report.longreprtext[-2000:]}",
    }

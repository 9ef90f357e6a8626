"""The built site, a browser and a server on loopback, for the tests that need them."""

import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]
SITE = Path(os.environ.get("DLBOOK_SITE", ROOT / "_build" / "html"))
SOURCES = ["_config.yml", "_toc.yml", "book/**/*", "chapters/**/*.ipynb"]
BROWSERS = ["chromium", "chromium-browser", "google-chrome"]
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# The same draws on every machine, and a busy one is no failure; fewer of them in
# `make test FAST=1`. To look further: pytest --hypothesis-profile=explore
settings.register_profile("book", deadline=None, max_examples=30, derandomize=True)
settings.register_profile("quick", deadline=None, max_examples=6, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=300)
settings.load_profile("book")


def unavailable(reason):
    """Skip, or fail where the environment promises that everything is there."""
    if os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def newest_source():
    """When the book was last edited, seconds since the epoch."""
    files = (path for pattern in SOURCES for path in ROOT.glob(pattern))
    kept = (f for f in files if f.is_file() and "__pycache__" not in f.parts)
    return max(path.stat().st_mtime for path in kept)


def built_pages():
    """All pages of the site as paths in it; one name to skip by where there is none."""
    found = {path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html")}
    return sorted(found - {"index.html"}) or ["no site"]  # the index only forwards


def is_notebook(page):
    return (SITE / "_sources" / page).with_suffix(".ipynb").exists()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark what asks for the browser, so that ``-m "not browser"`` leaves it out."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


def pytest_generate_tests(metafunc):
    """Run a test once for each page it asks for by `built` or `built_notebook`."""
    for name in {"built", "built_notebook"}.intersection(metafunc.fixturenames):
        pages = built_pages()
        if name == "built_notebook":
            pages = [page for page in pages if is_notebook(page)]
        metafunc.parametrize(name, pages)


@pytest.fixture(scope="session")
def site():
    """The folder of the built site, if it is as new as the book."""
    built = SITE / ".built"
    if not built.exists():
        unavailable(f"no site in {SITE}: run `make book` first")
    if "DLBOOK_SITE" not in os.environ and built.stat().st_mtime < newest_source():
        unavailable("the book was edited after the site was built: run `make book`")
    return SITE


@pytest.fixture(scope="session")
def browser():
    """Chromium, driven by Playwright; `CHROMIUM` may name another executable."""
    on_path = (shutil.which(name) for name in BROWSERS)
    found = os.environ.get("CHROMIUM") or next(filter(None, on_path), None)
    if not found:
        unavailable("no Chromium on the path and CHROMIUM is not set")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield chromium
        chromium.close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def served(site):
    """The address of the site, served on loopback while the tests run."""
    handler = functools.partial(_Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()

"""Serve MathJax from the site itself, from the files of an installed package.

Only the parts that a page can load are copied: the TeX reader with its extensions,
the HTML writer with its fonts, and the hidden MathML for screen readers.
"""

import shutil
from importlib.metadata import files
from pathlib import Path

PACKAGE = "sphinx-mathjax-offline"
PARTS = [
    "startup.js",
    "core.js",
    "input/tex.js",
    "input/tex/extensions/*.js",
    "output/chtml.js",
    "output/chtml/fonts/tex.js",
    "output/chtml/fonts/woff-v2/*.woff",
    "a11y/assistive-mml.js",
]
SETTINGS = {"loader": {"load": ["input/tex", "output/chtml", "a11y/assistive-mml"]}}


def package_folder():
    """The folder of MathJax's files inside the installed package."""
    startup = next(f for f in files(PACKAGE) if f.match("mathjax/startup.js"))
    return Path(startup.locate()).parent


def configure(app, config):
    config.mathjax_path = "mathjax/startup.js"
    config.mathjax3_config = SETTINGS


def copy_parts(app, error):
    """Copy the parts into the built site."""
    if error or app.builder.format != "html":
        return
    source, target = package_folder(), Path(app.outdir, "_static", "mathjax")
    for pattern in PARTS:
        for path in source.glob(pattern):
            if path.name != "all-packages.js":
                copy = target / path.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, copy)


def setup(app):
    app.connect("config-inited", configure, priority=100)
    app.connect("build-finished", copy_parts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""What the theme leaves to be done: a page's buttons, roles, and fewer bytes."""

import re
import shutil
from pathlib import Path

ICON_SCRIPT = re.compile(r"<script[^>]*fontawesome\.js[^>]*></script>")
EMPTY_HEADER = re.compile(r"<th\b([^>]*)>\s*(?:<p>\s*</p>)?\s*</th>")
ICON_RULE = re.compile(r'(?P<names>(?:\.fa-[\w-]+:before,?)+)\{content:"[^"]*"\}')
ICONS = {
    "angle-down",
    "angle-left",
    "angle-right",
    "arrow-up",
    "bars",
    "circle-half-stroke",
    "circle-question",
    "cloud",
    "download",
    "list",
    "magnifying-glass",
    "moon",
    "pencil",
    "play",
    "sun",
}
UNUSED = [
    "scripts/fontawesome.js*",
    "scripts/*.map",
    "scripts/*.LICENSE.txt",
    "styles/*.map",
    "vendor/fontawesome/webfonts/*.ttf",
    "images/logo_*",
    "locales",
    "webpack-macros.html",
    "sbt-webpack-macros.html",
]


def without_icon_script(html):
    """Drop the theme's icon script from a piece of HTML.

    >>> without_icon_script('<script defer src="s/fontawesome.js?d=1"></script><p>')
    '<p>'
    """
    return ICON_SCRIPT.sub("", html)


def without_unused_icons(css):
    """Drop the rules of icons that the book does not show from the theme's style.

    >>> without_unused_icons('.fa-sun:before{content:"a"}.fa-cat:before{content:"b"}')
    '.fa-sun:before{content:"a"}'
    """

    def kept(rule):
        names = re.findall(r"\.fa-([\w-]+):", rule["names"])
        return rule[0] if ICONS.intersection(names) else ""

    return ICON_RULE.sub(kept, css)


def with_plain_markup(html):
    """Replace a role that ARIA has withdrawn, and table headers that head nothing.

    >>> with_plain_markup('<div class="citation" role="doc-biblioentry">')
    '<div class="citation" role="listitem">'
    >>> with_plain_markup('<th class="head"><p></p></th><th>a</th>')
    '<td class="head"></td><th>a</th>'
    """
    html = html.replace('role="doc-biblioentry"', 'role="listitem"')
    return EMPTY_HEADER.sub(r"<td\1></td>", html)


def page_actions(app, pagename, pathto):
    """The buttons of a page as (name, url, icon, text), made from `_config.yml`."""
    options = app.config.html_theme_options
    path = Path(app.env.doc2path(pagename, base=False)).as_posix()
    repository, branch = options["repository_url"], options["repository_branch"]
    name = repository.removeprefix("https://github.com/")
    launch = options["launch_buttons"]
    colab = f"{launch['colab_url']}/github/{name}/blob/{branch}/{path}"
    binder = f"{launch['binderhub_url']}/v2/gh/{name}/{branch}?urlpath=lab/tree/{path}"
    issue = f"{repository}/issues/new?title={pagename}"
    notebook = [
        ("colab", colab, "fa-solid fa-play", "Colab"),
        ("binder", binder, "fa-solid fa-cloud", "Binder"),
        ("download", pathto(f"_sources/{path}", 1), "fa-solid fa-download", "Notebook"),
    ]
    source = [
        (
            "edit",
            f"{repository}/edit/{branch}/{path}",
            "fa-solid fa-pencil",
            "Edit",
        ),
        ("issue", issue, "fa-solid fa-circle-question", "Issue"),
    ]
    return notebook + source if path.endswith(".ipynb") else source


def add_context(app, pagename, templatename, context, doctree):
    context["without_icon_script"] = without_icon_script
    context["body"] = with_plain_markup(context.get("body", ""))
    context["page_actions"] = (
        page_actions(app, pagename, context["pathto"]) if doctree else []
    )


def trim_files(app, error):
    """Delete what the theme brings and no page of the site loads."""
    if error or app.builder.format != "html":
        return
    static = Path(app.outdir, "_static")
    for pattern in UNUSED:
        for path in static.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    style = static / "styles" / "pydata-sphinx-theme.css"
    style.write_text(without_unused_icons(style.read_text("utf-8")), "utf-8")


def stamp(app, error):
    """Leave the time of the build, against which the tests know a stale site."""
    if not error:
        Path(app.outdir, ".built").touch()


def setup(app):
    app.add_config_value("comments_config", {}, "")  # set by jupyter-book, unused here
    app.connect("html-page-context", add_context, priority=900)
    app.connect("build-finished", trim_files)
    app.connect("build-finished", stamp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

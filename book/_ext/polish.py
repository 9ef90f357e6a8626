"""What the theme leaves to be done: a page's buttons, roles, and fewer bytes."""

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

from fontTools import subset

ICON_SCRIPT = re.compile(r"<script[^>]*fontawesome\.js[^>]*></script>")
EMPTY_HEADER = re.compile(r"<th\b([^>]*)>\s*(?:<p>\s*</p>)?\s*</th>")
PLAIN_SPAN = re.compile(r'<span class="(?:n|o|p|w|nn)">([^<]*)</span>')
INLINE_MATH = re.compile(
    r'<span class="math notranslate nohighlight">[^<]*</span>[-.,;:!?)]+'
)
STILL = re.compile(r'<figure class="dl-figure">.*?</figure>', re.DOTALL)
OUTLINE = re.compile(r'<path id="([^"]+)"([^>]*?)(?:/>|></path>)\n?')
REFERENCE = re.compile(r'(href="#)([^"]+)')
NO_DEFS = re.compile(r"<defs>\s*</defs>\n?")
RULE = re.compile(r"(?P<selectors>[^{}]+)\{[^{}]*\}")
COMMA = re.compile(r",(?![^(]*\))")
ALWAYS = {"bs-tooltip-auto"}  # put together by a script
ICON_FONT = "vendor/fontawesome/webfonts/fa-solid-900"
ICON_SOURCE = re.compile(r"src:url\((\S+?/fa-solid-900)\.woff2\)[^}]*\}")
UNUSED = [
    "scripts/fontawesome.js*",
    "scripts/*.map",
    "scripts/*.LICENSE.txt",
    "styles/*.map",
    "vendor/fontawesome/webfonts/*",
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


def without_unused_rules(css, words):
    """Drop the rules of a style that ask for a class which is not among the words.

    >>> without_unused_rules(".a{x:1}.b .a{x:2}@media print{.a,.b:not(.c){x:3}}", {"a"})
    '.a{x:1}@media print{.a,.b:not(.c){x:3}}'
    """

    def is_used(selector):
        plain = re.sub(r"\([^)]*\)", "", selector)
        return words.issuperset(re.findall(r"\.([A-Za-z][\w-]*)", plain))

    def kept(rule):
        used = any(map(is_used, COMMA.split(rule["selectors"])))
        return rule[0] if used else ""

    return RULE.sub(kept, css)


def words_of(folder):
    """All classes of the pages in a folder, and all words of their scripts."""
    words = set(ALWAYS)
    for page in folder.rglob("*.html"):
        for classes in re.findall(r'class="([^"]*)"', page.read_text("utf-8")):
            words.update(classes.split())
    for script in folder.rglob("*.js"):
        if "mathjax" not in script.parts:
            words.update(re.findall(r"[A-Za-z][\w-]*", script.read_text("utf-8")))
    return words


def with_plain_markup(html):
    """Replace what ARIA has withdrawn, headers of nothing, and spans without a style.

    A comma stays on the line of the formula before it.

    >>> with_plain_markup('<div class="citation" role="doc-biblioentry">')
    '<div class="citation" role="listitem">'
    >>> with_plain_markup('<th class="head"><p></p></th><th>a</th>')
    '<td class="head"></td><th>a</th>'
    >>> with_plain_markup('<span class="k">if</span> <span class="n">x</span>')
    '<span class="k">if</span> x'
    >>> formula = '<span class="math notranslate nohighlight">x</span>'
    >>> with_plain_markup(f"{formula}, so").replace(formula, "$x$")
    '<span class="dl-line">$x$,</span> so'
    """
    html = INLINE_MATH.sub(r'<span class="dl-line">\g<0></span>', html)
    html = PLAIN_SPAN.sub(r"\1", html)
    html = html.replace('role="doc-biblioentry"', 'role="listitem"')
    return EMPTY_HEADER.sub(r"<td\1></td>", html)


def with_shared_outlines(html):
    """Let the still pictures of a page share the outlines of letters and markers.

    Live pictures keep their own, since the next frame replaces them.

    >>> letter = '<path id="{0}" d="M0 0"/><use href="#{0}"/>'
    >>> figures = ['<figure class="dl-figure">' + letter.format(n) + "</figure>"
    ...            for n in "ab"]
    >>> print(with_shared_outlines(figures[0] + figures[1]).replace("><", ">\\n<"))
    <figure class="dl-figure">
    <path id="a" d="M0 0"/>
    <use href="#a"/>
    </figure>
    <figure class="dl-figure">
    <use href="#a"/>
    </figure>
    """
    first = {}

    def share(figure):
        other = {}

        def keep(outline):
            name, shape = outline.groups()
            other[name] = first.setdefault(shape, name)
            return outline[0] if other[name] == name else ""

        text = OUTLINE.sub(keep, figure[0])
        text = REFERENCE.sub(lambda m: m[1] + other.get(m[2], m[2]), text)
        return NO_DEFS.sub("", text)

    return STILL.sub(share, html)


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
    body = with_plain_markup(context.get("body", ""))
    context["body"] = with_shared_outlines(body)
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
    css = without_unused_rules(style.read_text("utf-8"), words_of(Path(app.outdir)))
    css = ICON_SOURCE.sub(r'src:url(\1.woff) format("woff")}', css)
    style.write_text(css, "utf-8")
    styles = [path.read_text("utf-8") for path in static.rglob("*.css")]
    write_icon_font(static / f"{ICON_FONT}.woff", "".join(styles))


def write_icon_font(target, css):
    """Write the theme's icon font with no other glyphs than the styles name."""
    codes = {int(code, 16) for code in re.findall(r"\\(f[0-9a-f]{3})\b", css)}
    theme = Path(find_spec("pydata_sphinx_theme").origin).parent
    options = subset.Options(flavor="woff")
    static = theme / "theme" / "pydata_sphinx_theme" / "static"
    font = subset.load_font(static / f"{ICON_FONT}.ttf", options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=codes)
    subsetter.subset(font)
    subset.save_font(font, target, options)


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

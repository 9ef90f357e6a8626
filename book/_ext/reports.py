"""Pages of the book about itself: claims, timings, coverage, map.

They are made from the plan (`book/syllabus.yml`), from what each notebook says it
covers, and from the records of the last execution (`_build/execution`). Each directive
writes MyST, which Sphinx then reads like any other text of the book.
"""

import json
import os
import platform
import re
from html import escape
from pathlib import Path
from textwrap import wrap

import yaml
from docutils import nodes
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

NOT_EXECUTED = "No page was executed in this build, so there is nothing to show here."


class Book:
    """The plan, the notebooks and the records of the book that stands at `root`."""

    def __init__(self, root):
        self.root = Path(root)
        plan = yaml.safe_load((self.root / "book/syllabus.yml").read_text("utf-8"))
        self.chapters, self.pages = plan["chapters"], plan["pages"]

    def document(self, page):
        """Where a planned page stands, `chapters/01_feedforward/xor`."""
        return f"chapters/{self.pages[page]['chapter']}/{page}"

    def covers(self, page):
        """The items of a finished page, each with its label; none while a draft."""
        path = self.root / f"{self.document(page)}.ipynb"
        if not path.exists():
            return {}
        about = json.loads(path.read_text("utf-8"))["metadata"].get("dlbook", {})
        return {} if about.get("draft") else about.get("covers", {})

    def chapter(self, key):
        """The names of a chapter's pages, in reading order."""
        return [name for name, page in self.pages.items() if page["chapter"] == key]

    def records(self):
        """What the last execution left, one record a page, in reading order."""
        folder = self.root / "_build/execution"
        found = [json.loads(p.read_text("utf-8")) for p in folder.rglob("*.json")]
        found = [r for r in found if (self.root / f"{r['page']}.ipynb").exists()]
        order = [*self.pages, "solutions"]

        def place(record):
            folder, _, name = record["page"].rpartition("/")
            return folder, order.index(name) if name in order else -1, name

        return sorted(found, key=place)


class Report(SphinxDirective):
    """A directive that writes MyST from the book's own records, anew in each build."""

    def run(self):
        self.env.note_reread()
        return self.parse_text_to_nodes(self.write(Book(self.env.srcdir)))

    def link(self, document):
        """A link to a document by its title; bare text if it is not in this build."""
        known = document in self.env.found_docs
        return f"{{doc}}`/{document}`" if known else text(document.rpartition("/")[2])

    def target(self, document, label, words):
        known = document in self.env.found_docs
        return f"{{ref}}`{words} <{label}>`" if known else words


class ClaimsLedger(Report):
    """Every claim of the executed pages: band, measured this time, verdict, source."""

    def write(self, book):
        ledgers = [record for record in book.records() if record["claims"]]
        if not ledgers:
            return NOT_EXECUTED
        claims = [claim for record in ledgers for claim in record["claims"]]
        failed = sum(not claim["passed"] for claim in claims)
        verdict = f"{failed} of them out of band" if failed else "all of them in band"
        count = f"{len(claims)} claims on {len(ledgers)} pages, {verdict}."
        return "\n\n".join([count, *map(self.ledger, ledgers)])

    def ledger(self, record):
        rows = [
            [
                self.target(record["page"], f"claim-{claim['name']}", claim["name"]),
                text(band(claim)),
                text(value(claim)),
                "in band" if claim["passed"] else "**out of band**",
                text(claim["source"]),
            ]
            for claim in record["claims"]
        ]
        head = ["Claim", "Band", "Measured", "Verdict", "Source"]
        return table(f"Claims of {self.link(record['page'])}", head, rows)


class Timings(Report):
    """Seconds per page and the slowest cells of the last execution."""

    def write(self, book):
        records = book.records()
        if not records:
            return NOT_EXECUTED
        total = sum(record["seconds"] for record in records)
        machine = (
            f"{len(records)} notebooks took {total:.0f} seconds in all, one thread "
            f"each, on {os.cpu_count()} cores ({platform.system()}, "
            f"{platform.machine()}) with Python {platform.python_version()}. The last "
            f"of them ended on {max(record['finished'] for record in records)[:10]}."
        )
        return "\n\n".join([machine, self.by_page(records), self.by_cell(records)])

    def by_page(self, records):
        rows = [
            [
                self.link(record["page"]),
                f"{record['seconds']:.1f}",
                str(len(record["cells"])),
                str(record["figures"]),
                str(record["live"]),
            ]
            for record in records
        ]
        head = ["Page", "Seconds", "Cells", "Figures", "Live"]
        return table("Seconds per page", head, rows)

    def by_cell(self, records, count=10):
        cells = [
            (cell, record["page"]) for record in records for cell in record["cells"]
        ]
        slowest = sorted(cells, key=lambda pair: -pair[0]["seconds"])[:count]
        rows = [
            [
                page.rpartition("/")[2],
                code(cell["first_line"]),
                f"{cell['seconds']:.2f}",
            ]
            for cell, page in slowest
        ]
        head = ["Page", "First line of the cell", "Seconds"]
        return table(f"The {len(rows)} slowest cells", head, rows)


class Coverage(Report):
    """Which items of the plan stand on which page, and what is still planned."""

    def write(self, book):
        done = {name: book.covers(name) for name in book.pages}
        items = sum(len(page["items"]) for page in book.pages.values())
        finished = [name for name in book.pages if done[name]]
        count = (
            f"{sum(map(len, done.values()))} of {items} items are done, on "
            f"{len(finished)} of {len(book.pages)} pages."
        )
        chapters = [self.chapter(book, key, done) for key in book.chapters]
        head = ["Chapter", "Pages done", "Items done", "Share"]
        summary = table("Coverage by chapter", head, chapters)
        pages = [self.page(book, name, done[name]) for name in finished]
        return "\n\n".join([count, summary, *pages, self.planned(book, finished)])

    def chapter(self, book, key, done):
        names = book.chapter(key)
        title = book.chapters[key]
        have = sum(len(done[name]) for name in names)
        want = sum(len(book.pages[name]["items"]) for name in names)
        pages = sum(bool(done[name]) for name in names)
        label = escape(f"{title}: {have} of {want} items done")
        bar = f'<progress max="{want}" value="{have}" aria-label="{label}"></progress>'
        return [title, f"{pages} of {len(names)}", f"{have} of {want}", bar]

    def page(self, book, name, covers):
        document, items = book.document(name), book.pages[name]["items"]
        rows = [
            self.item(document, item, words, covers.get(item))
            for item, words in items.items()
        ]
        caption = f"{self.link(document)}: {len(covers)} of {len(items)} items"
        return table(caption, ["Item", "State"], rows)

    def item(self, document, item, words, label):
        """A row; the item's ID and words share a cell, so a narrow page holds both."""
        name = self.target(document, label, item) if label else item
        words = words.replace("|", r"\|")
        return [f"{name} · {words}", "done" if label else "planned"]

    def planned(self, book, finished):
        rows = [
            [book.chapters[page["chapter"]], page["title"], str(len(page["items"]))]
            for name, page in book.pages.items()
            if name not in finished
        ]
        return table("Planned pages", ["Chapter", "Page", "Items"], rows)


class BookMap(SphinxDirective):
    """The chapters as lines with a stop for each page; finished pages are links."""

    has_content = True

    def run(self):
        self.env.note_reread()
        book = Book(self.env.srcdir)
        lines = "".join(self.line(book, key) for key in book.chapters)
        style = "columns:18rem 2;column-gap:2rem;margin:1.5rem 0"
        picture = f'<div class="dl-map" style="{style}">{lines}</div>'
        return [nodes.raw("", picture, format="html"), *self.parse_content_to_nodes()]

    def line(self, book, key):
        """One chapter as an SVG 340 units wide, as wide as a phone."""
        number, title = int(key[:2]), book.chapters[key]
        names = book.chapter(key)
        finished = [name for name in names if book.covers(name)]
        stops, y = [], 58
        for name in names:
            words = wrap(book.pages[name]["title"], 38)
            stops.append(self.stop(book, name, words, y, name in finished))
            last, y = y, y + 8 + 20 * len(words)
        label = f"Chapter {number}, {title}: {len(finished)} of {len(names)} pages done"
        return (
            f'<svg role="group" aria-label="{escape(label)}" viewBox="0 0 340 {y}" '
            'style="display:block;width:100%;max-width:340px;break-inside:avoid;'
            'margin-bottom:1.5rem;font-size:16px" '
            'fill="currentColor"><text y="22" font-size="18" font-weight="700">'
            f"{number} · {escape(title)}</text>"
            f'<path d="M9 58V{last}" stroke="currentColor" stroke-width="3"/>'
            f"{''.join(stops)}</svg>"
        )

    def stop(self, book, name, words, y, finished):
        lines = "".join(
            f'<tspan x="28" y="{y + 5 + 20 * i}">{escape(line)}</tspan>'
            for i, line in enumerate(words)
        )
        ring = 'stroke="currentColor" stroke-width="2.5"'
        ground = "currentColor" if finished else "var(--pst-color-background, Canvas)"
        dot = f'<circle cx="9" cy="{y}" r="6.5" fill="{ground}" {ring}/>'
        document = book.document(name)
        if not finished or document not in self.env.found_docs:
            return f'{dot}<text style="opacity:.8">{lines}</text>'
        uri = self.env.app.builder.get_relative_uri(self.env.docname, document)
        style = 'font-weight="700" text-decoration="underline"'
        return f'{dot}<a href="{escape(uri)}"><text {style}>{lines}</text></a>'


class PageFigure(SphinxDirective):
    """A figure of an executed page, shown again elsewhere: page, then figure's name."""

    required_arguments = 2

    def run(self):
        self.env.note_reread()
        document, name = self.arguments
        path = Path(self.env.srcdir) / f"_build/execution/{document}.ipynb"
        output = _find_figure(path, name)
        if output is None or document not in self.env.found_docs:
            words = f"The figure here comes from {document}, not part of this build."
            return self.parse_text_to_nodes(words)
        html = "".join(output["data"]["text/html"])
        caption = output["metadata"]["dlbook_figure"]["caption"]
        source = f"{caption} (From {{doc}}`/{document}`.)"
        picture = nodes.raw("", html, format="html")
        return [picture, *self.parse_text_to_nodes(source)]


def _find_figure(path, name):
    """The output that shows figure `name` in an executed notebook, or None."""
    if not path.exists():
        return None
    notebook = json.loads(path.read_text("utf-8"))
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            if output.get("metadata", {}).get("dlbook_figure", {}).get("name") == name:
                return output
    return None


def table(caption, head, rows):
    """A MyST table with a caption and one header row."""
    lines = [head, ["---"] * len(head), *rows]
    body = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"~~~{{table}} {caption}\n{body}\n~~~"


def text(words):
    """`words` with every mark that MyST would read as markup escaped."""
    return re.sub(r"([\\`*_{}\[\]<>|$#])", r"\\\1", " ".join(words.split()))


def code(words):
    """`words` as inline code that may stand in a table."""
    return "`` " + words.strip().replace("|", r"\|") + " ``"


def band(claim):
    """The band of a claim in words; an open end is None."""
    low, high = claim["low"], claim["high"]
    if low == high:
        words = f"exactly {low:.12g}"
    elif low is None:
        words = f"at most {high:.12g}"
    elif high is None:
        words = f"at least {low:.12g}"
    else:
        words = f"{low:.12g} to {high:.12g}"
    return f"{words} {claim['unit']}".strip()


def value(claim):
    """What was measured, in the unit of the band; NaN was stored as None."""
    measured = claim["value"]
    return "none" if measured is None else f"{measured:.4g}"


def resolve_claim(app, env, node, content):
    """Let `{ref}` find a claim's cell, whose anchor its HTML output carries."""
    label = node.get("reftarget", "")
    if node.get("reftype") != "ref" or not label.startswith("claim-"):
        return None
    for record in Book(env.srcdir).records():
        if any(f"claim-{claim['name']}" == label for claim in record["claims"]):
            source = node.get("refdoc", env.docname)
            return make_refnode(app.builder, source, record["page"], label, content)
    return None


def setup(app):
    app.add_directive("claims-ledger", ClaimsLedger)
    app.add_directive("timings", Timings)
    app.add_directive("coverage", Coverage)
    app.add_directive("book-map", BookMap)
    app.add_directive("page-figure", PageFigure)
    app.connect("missing-reference", resolve_claim)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

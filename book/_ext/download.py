"""Make the downloaded notebook readable where nothing understands MyST.

The notebook behind the Download button is the stored one with its Markdown cells
rewritten: cross-references become numbers and titles, citations become names and
years, links become absolute, and directives become quotations. Code cells stay as
they are.
"""

import json
import posixpath
import re
from pathlib import Path
from urllib.parse import unquote

from docutils.nodes import make_id
from sphinx.util.nodes import clean_astext

CODE = re.compile(r"(^(`{3,})(?!\{)[^\n]*\n.*?^\2`*[ ]*$)", re.MULTILINE | re.DOTALL)
FENCE = re.compile(
    r"^(?P<fence>:{3,}|`{3,})\{(?P<name>[\w:-]+)\}[ ]*(?P<argument>[^\n]*)\n"
    r"(?P<body>.*?)^(?P=fence)[ ]*$",
    re.MULTILINE | re.DOTALL,
)
OPTION = re.compile(r"\A:(\w[\w-]*):[ ]*(.*)\n")
LABELLED = re.compile(r"\$\$(?P<tex>.+?)\$\$[ ]*\((?P<label>[^)\n]+)\)", re.DOTALL)
TARGET = re.compile(r"^\([^)\n]+\)=[ ]*\n(?:[ ]*\n)?", re.MULTILINE)
NOTE = re.compile(r"^(?:%.*|\{[#.][^}\n]*\}|\+\+\+.*)\n", re.MULTILINE)
ATTRIBUTES = re.compile(r"(?<=[\])*`_])\{[#.][^}\n]*\}")
ROLE = re.compile(r"\{(?P<role>[\w:-]+)\}`(?P<content>[^`]+)`")
EXPLICIT = re.compile(r"(?P<text>.+?)\s*<(?P<target>[^>]+)>\Z", re.DOTALL)
LINK = re.compile(r"(?P<bang>!?)\[(?P<text>[^\]]*)\]\((?P<target><[^>]+>|[^)\s]+)\)")


class Reader:
    """Rewrites the Markdown of one document, with what Sphinx knows of the book."""

    def __init__(self, env, docname, papers):
        self.env, self.docname, self.papers = env, docname, papers
        options = env.config.html_theme_options
        self.source = f"{options['repository_url']}/blob/{options['repository_branch']}"
        self.labels = env.domaindata["std"]["labels"]
        self.anonymous = env.domaindata["std"]["anonlabels"]
        self.terms = {
            name: place
            for (kind, name), place in env.domaindata["std"]["objects"].items()
            if kind == "term"
        }

    def rewrite(self, text):
        """The text of a Markdown cell without MyST."""
        pieces = CODE.split(text + "\n")
        kept = pieces[1::3]
        plain = [self._prose(piece) for piece in pieces[0::3]]
        woven = [part for pair in zip(plain, [*kept, ""], strict=True) for part in pair]
        return "".join(woven).strip("\n")

    def _prose(self, text):
        text = NOTE.sub("", TARGET.sub("", text))
        while FENCE.search(text):
            text = FENCE.sub(self._directive, text)
        text = LABELLED.sub(self._equation, text)
        text = ATTRIBUTES.sub("", text)
        text = LINK.sub(self._link, text)
        return ROLE.sub(self._readable, text)

    def _directive(self, match):
        name, argument, body = match["name"], match["argument"], match["body"]
        options = {}
        while option := OPTION.match(body):
            options[option[1]] = option[2]
            body = body[option.end() :]
        body = body.strip("\n")
        if name == "math":
            label = f" ({options['label']})" if "label" in options else ""
            return f"$$\n{body}\n$$" + label
        if name in ("figure", "image"):
            image = f"![{options.get('alt', '')}]({argument})"
            return f"{image}\n\n{body}" if body else image
        if name in ("code", "code-block"):
            return f"~~~{argument}\n{body}\n~~~"
        if name == "dropdown":
            opening = f"<details><summary>{argument}</summary>"
            return f"{opening}\n\n{body}\n\n</details>"
        if name == "bibliography":
            return self._reading_list()
        quoted = [f"**{argument or name.capitalize()}**", "", *body.split("\n")]
        return "\n".join(f"> {line}".rstrip() for line in quoted)

    def _equation(self, match):
        number = self.equation_number(match["label"].strip())
        return f"$${match['tex'].rstrip()} \\tag{{{number}}}$$"

    def _link(self, match):
        target = unquote(match["target"].strip("<>"))
        if re.match(r"[a-z]+:", target):
            return match[0]
        path, _, label = target.partition("#")
        if path:
            folder = posixpath.dirname(self.docname)
            address = (
                f"{self.source}/{posixpath.normpath(posixpath.join(folder, path))}"
            )
        else:
            address = self.address(label)
        if not address:
            return match["text"]
        text = match["text"] or self.title(label) or label
        return f"{match['bang']}[{text}]({address})"

    def _readable(self, match):
        try:
            return self._role(match)
        except KeyError:  # an unknown label, of which Sphinx has warned
            return match["content"]

    def _role(self, match):
        role, content = match["role"], match["content"].strip()
        explicit = EXPLICIT.match(content)
        text = explicit["text"] if explicit else None
        target = explicit["target"] if explicit else content
        if role.startswith("cite"):
            return self.citation(role, content)
        if role == "math":
            return f"${content}$"
        if role in ("eq", "math:numref"):
            return f"({self.equation_number(target)})"
        if role == "numref":
            return self.figure_name(target, text)
        if role == "doc":
            path = posixpath.join("/" + posixpath.dirname(self.docname), target)
            docname = posixpath.normpath(path).lstrip("/")
            title = text or clean_astext(self.env.titles[docname])
            return f"[{title}]({self.file_address(docname)})"
        if role == "ref" and self.address(target):
            return f"[{text or self.title(target)}]({self.address(target)})"
        return text or target

    def equation_number(self, label):
        docname, number = self.env.domaindata["math"]["objects"][label]
        numbers = self.env.toc_fignumbers.get(docname, {}).get("displaymath", {})
        found = numbers.get(make_id(f"equation-{label}"), (number,))
        return ".".join(map(str, found))

    def figure_name(self, label, pattern):
        docname, target, *_ = self.anonymous[label]
        for kind, numbers in self.env.toc_fignumbers.get(docname, {}).items():
            if target in numbers:
                number = ".".join(map(str, numbers[target]))
                pattern = pattern or self.env.config.numfig_format[kind]
                return pattern.replace("{number}", "%s").replace("%s", number)
        return f"[{self.title(label)}]({self.address(label)})"

    def title(self, label):
        return self.labels[label][2] if label in self.labels else ""

    def file_address(self, docname):
        path = Path(self.env.doc2path(docname, base=False)).as_posix()
        return f"{self.source}/{path}"

    def address(self, label):
        """Where a label or a term stands, None for the slug of a heading."""
        if label in self.anonymous:
            docname, target, *_ = self.anonymous[label]
        elif label in self.terms:
            docname, target = self.terms[label]
        else:
            return None
        anchor = self.title(label).replace(" ", "-") or target
        if docname == self.docname:
            return f"#{anchor}"
        return self.file_address(docname)

    def citation(self, role, keys):
        """`Minsky and Papert (1969)`, or in brackets where the role asks for it."""
        found = [self.papers.entries[key.strip()] for key in keys.split(",")]
        if role in ("cite:t", "cite:ts"):
            named = [f"{names(entry)} ({entry.fields['year']})" for entry in found]
            return ", ".join(named)
        named = [f"{names(entry)}, {entry.fields['year']}" for entry in found]
        return f"({'; '.join(named)})"

    def _reading_list(self):
        cites = self.env.domaindata["cite"]["citations"]
        keys = {c.key for c in cites if c.docname == self.docname}
        cited = [self.papers.entries[key] for key in keys]
        lines = (
            f"- {names(entry)} ({entry.fields['year']}). {entry.fields['title']}."
            for entry in cited
        )
        return "\n".join(sorted(lines))


def names(entry):
    """The authors of a paper as one names them in a sentence.

    >>> from pybtex.database import Entry, Person
    >>> people = [Person("Minsky, Marvin"), Person("Papert, Seymour")]
    >>> names(Entry("book", persons={"author": people}))
    'Minsky and Papert'
    """
    people = entry.persons.get("author") or entry.persons["editor"]
    last = [
        " ".join(person.prelast_names + person.last_names).strip("{}")
        for person in people
    ]
    if len(last) > 2:
        return f"{last[0]} et al."
    return " and ".join(last)


def rewrite_downloads(app, error):
    """Write the readable copy of each notebook to where its button points."""
    if error or app.builder.name != "html":
        return
    papers = app.env.get_domain("cite").bibdata.data
    for docname in app.env.found_docs:
        source = Path(app.env.doc2path(docname))
        if source.suffix != ".ipynb":
            continue
        notebook = json.loads(source.read_text("utf-8"))
        reader = Reader(app.env, docname, papers)
        for cell in notebook["cells"]:
            if cell["cell_type"] == "markdown":
                cell["source"] = reader.rewrite("".join(cell["source"]))
        target = Path(app.outdir, "_sources", f"{docname}.ipynb")
        target.write_text(json.dumps(notebook, indent=1, ensure_ascii=False), "utf-8")


def setup(app):
    app.connect("build-finished", rewrite_downloads)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

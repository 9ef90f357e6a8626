"""Every public name says what it does; arrays come with their shapes."""

import ast
import re

from tools.pages import ROOT
from tools.reading import modules, tree

SHAPE = re.compile(r"\((\.\.\.|[\w\-+*/. ]+,)|\bshape\b")
ARRAY = re.compile(r"[\w*, ]+ : .*\b(ndarray|array_like|Tensor)\b|.*\bndarray\b")


def public(body, owner=""):
    """Public functions, classes and methods, with their full names."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_":
            yield f"{owner}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{owner}{node.name}.")


def items(docstring):
    """The entries of the Parameters and Returns sections, each with its description."""
    sections = re.split(r"\n([A-Z]\w+)\n-{3,}\n", f"\n{docstring}")
    for title, text in zip(sections[1::2], sections[2::2], strict=True):
        if title in ("Parameters", "Returns"):
            yield from re.findall(r"^\S.*(?:\n(?:[ ].*|$))*", text, flags=re.M)


def undocumented(root):
    found = []
    for module, path in modules(root).items():
        body = tree(path)
        if not ast.get_docstring(body):
            found.append(f"{module} has no docstring")
        for name, node in public(body.body):
            text = ast.get_docstring(node)
            if not text:
                found.append(f"{module}.{name} has no docstring")
            else:
                found += [f"{module}.{name}: {what}" for what in shapeless(text)]
                if needs_shapes(module, name, node) and not SHAPE.search(text):
                    found.append(f"{module}.{name}: its docstring names no shape")
    return found


def shapeless(docstring):
    for item in items(docstring):
        head = item.partition("\n")[0]
        refers = "`" in item  # to the function that it was given to, or to an argument
        if ARRAY.match(head) and not refers and not SHAPE.search(item):
            yield f"give the shape of {head!r}"


def needs_shapes(module, name, node):
    """Functions of scratch.py that take something."""
    is_function = isinstance(node, ast.FunctionDef) and "." not in name
    return module.endswith(".scratch") and is_function and bool(node.args.args)


def test_public_names_have_docstrings_with_shapes(holds):
    holds(undocumented(ROOT))


def test_a_missing_docstring_or_shape_is_named(book):
    assert not undocumented(book.root)
    path = book.library / "depth_and_width/scratch.py"
    book.edit(
        path, r"x : ndarray \(\.\.\.\)\n        Metres", "x : ndarray\n        Metres"
    )
    book.edit(path, r"\Z", "\n\ndef f(x):\n    return x\n")
    book.edit(path, r"\Z", '\n\ndef g(x):\n    """Half of x."""\n')
    book.edit(path, r"\Z", '\n\nclass A:\n    """A."""\n\n    def b(self): ...\n')
    module = "dlbook_lib.feedforward.depth_and_width.scratch"
    assert undocumented(book.root) == [
        f"{module}.square: give the shape of 'x : ndarray'",
        f"{module}.f has no docstring",
        f"{module}.g: its docstring names no shape",
        f"{module}.A.b has no docstring",
    ]

"""Show the code behind a name, so that nothing on a page is hidden."""

import ast
import inspect
import re
from pathlib import PurePosixPath

from dlbook_lib.common.output import display_both


def show_source(obj, *, docstrings=True):
    """Display the source of a function, class or module.

    The text starts with the file it stands in, as the copied cells do. The HTML carries
    Pygments' class names and no colours of its own: the site's style sheet colours it
    for light and for dark, and elsewhere it is plain text.

    Parameters
    ----------
    obj : function, class or module
    docstrings : bool
        Whether to show the docstrings of functions and classes, too; without them a
        long module is half as long.

    Raises
    ------
    TypeError
        If `obj` has no Python source: a number, a built-in, an array.

    >>> from dlbook_lib.common.rng import numpy_generator
    >>> show_source(numpy_generator)  # doctest: +ELLIPSIS
    # dlbook_lib/common/rng.py :: numpy_generator
    def numpy_generator(seed):
        ...
    """
    try:
        text = inspect.getsource(obj).rstrip()
    except (TypeError, OSError):
        raise TypeError(
            f"show_source: {obj!r} has no Python source; try a function or class"
        ) from None
    text = text if docstrings else without_docstrings(text)
    text = f"{_heading(obj)}\n{text}"
    display_both(text, _highlighted(text))


def without_docstrings(source):
    """Python source without the docstrings of its functions and classes.

    >>> print(without_docstrings("def f(x):\\n    'Twice x.'\\n    return 2 * x"))
    def f(x):
        return 2 * x
    """
    lines, drop = source.splitlines(), set()
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, kinds) and len(node.body) > 1 and ast.get_docstring(node):
            first, last = node.body[0].lineno, node.body[0].end_lineno
            blank_follows = not lines[last].strip()
            drop |= set(range(first, last + 1 + blank_follows))
    return "\n".join(line for n, line in enumerate(lines, 1) if n not in drop)


def _heading(obj):
    module = inspect.getmodule(obj)
    path = PurePosixPath(*module.__name__.split("."))
    is_package = hasattr(module, "__path__")
    file = f"{path}/__init__.py" if is_package else f"{path}.py"
    return f"# {file}" if obj is module else f"# {file} :: {obj.__qualname__}"


def _highlighted(text):
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    html = highlight(text, PythonLexer(), HtmlFormatter(nowrap=True))
    html = re.sub(r"\n$", "", html)
    pre = f'<pre tabindex="0" style="overflow-x:auto">{html}</pre>'
    return f'<div class="highlight dl-source">{pre}</div>'

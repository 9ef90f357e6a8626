"""Who may import whom."""

import ast

from tools.pages import ROOT, pages
from tools.reading import (
    cell_trees,
    imports,
    module_imports,
    modules,
    packaged,
    taught,
    tree,
)


def within(name, package):
    """Whether the module `name` is the package or lies in it."""
    return name == package or name.startswith(f"{package}.")


def forward_imports(root):
    """Imports of a page that comes later in the book, and of pages by `common`."""
    order = [page.package for page in packaged(root)]
    found = []
    for name in modules(root):
        own = next((i for i, page in enumerate(order) if within(name, page)), -1)
        for used in sorted(module_imports(root, name)):
            at = next((i for i, page in enumerate(order) if within(used, page)), -1)
            if at > own >= 0:
                found.append(f"{name} imports {used}, which comes later in the book")
            elif at >= 0 and within(name, "dlbook_lib.common"):
                found.append(f"{name} imports {used}; common imports no page")
    return found


def test_imports_point_backwards(holds):
    holds(forward_imports(ROOT))


def test_an_import_of_a_later_page_is_named(book):
    assert not forward_imports(book.root)
    line = "\nfrom dlbook_lib.feedforward.cost_functions import scratch\n"
    book.edit(book.library / "depth_and_width/scratch.py", r"\Z", line)
    book.edit("dlbook_lib/common/checks.py", r"\Z", line)
    found = "\n".join(forward_imports(book.root))
    assert "cost_functions.scratch, which comes later in the book" in found
    assert "common.checks imports dlbook_lib.feedforward.cost_functions" in found


def test_an_import_of_an_earlier_page_is_fine(book):
    line = "\n\ndef f():\n    from ..depth_and_width.scratch import square\n"
    book.edit(book.library / "cost_functions/scratch.py", r"\Z", line)
    assert not forward_imports(book.root)


def forward_imports_of_cells(root):
    found, order = [], [page.package for page in packaged(root)]
    for page in pages(root):
        chapter_done = [p.package for p in taught(root) if p.chapter == page.chapter]
        last = page.package or (chapter_done[-1] if chapter_done else None)
        later = order[order.index(last) + 1 :] if last else order
        for cell, body in cell_trees(root, page):
            for used in sorted(imports(body)):
                if any(within(used, package) for package in later):
                    where = f"{page.path}, cell {cell.id}"
                    found.append(f"{where}: imports {used}, a later page")
    return found


def test_cells_import_nothing_from_later_pages(holds):
    holds(forward_imports_of_cells(ROOT))


def test_a_cell_that_imports_a_later_page_is_named(book):
    assert not forward_imports_of_cells(book.root)
    book.edit_cell(book.first, "imports", "depth_and_width.pytorch", "cost_functions")
    (found,) = forward_imports_of_cells(book.root)
    assert found.startswith(f"{book.first}, cell imports: imports dlbook_lib.feed")


def loaded(imported, name):
    """All that importing a module of the library imports, each with one way to it."""
    ways, todo = {}, [(name, [name])]
    for module, way in todo:
        for used in sorted(imported[module] - ways.keys()):
            ways[used] = way
            if used in imported:
                todo.append((used, [*way, used]))
    return ways.items()


def is_twin(name):
    """Whether a module is the half that is written in PyTorch."""
    return name.endswith((".pytorch", "_pytorch"))


def from_scratch(root):
    """The modules of pages that are neither twins nor exercises."""
    packages = [page.package for page in packaged(root)]
    return [
        name
        for name in modules(root)
        if any(within(name, package) for package in packages)
        and not is_twin(name)
        and not name.endswith(".exercises")
    ]


def torch_in_scratch(root):
    found = []
    imported = {name: module_imports(root, name, deep=False) for name in modules(root)}
    for name in from_scratch(root):
        direct = [(used, [name]) for used in sorted(module_imports(root, name))]
        for used, way in [*direct, *loaded(imported, name)]:
            if within(used, "torch"):
                found.append(f"{' → '.join([*way, used])}: scratch is free of torch")
    return found


def test_scratch_is_free_of_torch(holds):
    holds(torch_in_scratch(ROOT))


def test_torch_in_scratch_is_named_with_the_way_to_it(book):
    assert not torch_in_scratch(book.root)
    scratch = book.library / "depth_and_width/scratch.py"
    book.edit(scratch, r"\Z", "\n\ndef f():\n    import torch\n")
    assert torch_in_scratch(book.root)
    book.edit(scratch, "    import torch\n", "    pass\n")
    assert not torch_in_scratch(book.root)
    book.edit("dlbook_lib/common/checks.py", "import sys", "import torch.nn")
    assert "scratch → dlbook_lib.common.checks → torch.nn: scratch is free" in (
        "\n".join(torch_in_scratch(book.root))
    )


def scratch_in_pytorch(root):
    return [
        f"{name} imports {used}; a twin is written without the other"
        for name in modules(root)
        if is_twin(name)
        for used in sorted(module_imports(root, name))
        if used.startswith("dlbook_lib.") and "scratch" in used.split(".")
    ]


def test_pytorch_never_imports_scratch(holds):
    holds(scratch_in_pytorch(ROOT))


def test_a_twin_that_leans_on_the_other_is_named(book):
    assert not scratch_in_pytorch(book.root)
    line = "\nfrom .scratch import square_backward\n"
    book.edit(book.library / "depth_and_width/pytorch.py", r"\Z", line)
    assert any("pytorch imports" in text for text in scratch_in_pytorch(book.root))


def full_inits(root):
    """`__init__.py` of chapters and pages that hold more than a paragraph."""
    found = []
    for name, path in modules(root).items():
        if path.name == "__init__.py" and not within(name, "dlbook_lib.common"):
            body = tree(path).body
            if len(body) != 1 or not ast.get_docstring(tree(path)):
                found.append(f"{name}: __init__.py holds a paragraph and nothing else")
    return found


def test_inits_hold_a_paragraph(holds):
    holds(full_inits(ROOT))


def test_code_in_an_init_is_named(book):
    assert not full_inits(book.root)
    book.edit(book.library / "__init__.py", r"\Z", "import numpy\n")
    assert full_inits(book.root) == [
        "dlbook_lib.feedforward: __init__.py holds a paragraph and nothing else"
    ]


def shadows(root):
    return [
        f"{name} hides the real {name.rpartition('.')[2]} from its neighbours"
        for name in modules(root)
        if name.rpartition(".")[2] in ("numpy", "torch", "matplotlib")
    ]


def test_no_module_shadows_a_package(holds):
    holds(shadows(ROOT))


def test_a_shadowing_module_is_named(book):
    assert not shadows(book.root)
    (book.root / book.library / "numpy").mkdir()
    (book.root / book.library / "numpy/__init__.py").write_text('"""NumPy."""\n')
    name = "dlbook_lib.feedforward.numpy"
    assert shadows(book.root) == [f"{name} hides the real numpy from its neighbours"]


def pyplot(root):
    places = [(name, module_imports(root, name)) for name in modules(root)]
    for page in pages(root):
        for cell, body in cell_trees(root, page):
            places.append((f"{page.path}, cell {cell.id}", imports(body)))
    return [
        f"{place} imports pyplot; use dlbook_lib.common.figures"
        for place, used in places
        if any(within(name, "matplotlib.pyplot") for name in used)
    ]


def test_nothing_imports_pyplot(holds):
    holds(pyplot(ROOT))


def test_pyplot_is_named(book):
    assert not pyplot(book.root)
    line = "import numpy as np"
    plot = "from matplotlib import pyplot as plt"
    book.edit_cell(book.first, "imports", line, f"{line}\n{plot}")
    assert pyplot(book.root) == [
        f"{book.first}, cell imports imports pyplot; use dlbook_lib.common.figures"
    ]

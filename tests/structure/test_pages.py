"""What a page promises in its metadata, and what every page holds."""

import re
from collections import Counter
from itertools import pairwise

import pytest
import yaml

from tools.execution.notebook import read
from tools.pages import ROOT, pages
from tools.reading import calls, cell_trees, documents, labels, lines, section, taught

LIVE, EXERCISES = 2, 8
TITLE = re.compile(r"### Exercise (\d+) · \S")


def metadata(root, page):
    return read(root / page.path).metadata.get("dlbook", {})


def finished(root):
    """The pages of the chapters that do not call themselves drafts."""
    return [page for page in taught(root) if not metadata(root, page).get("draft")]


def plan(root):
    return yaml.safe_load((root / "book/syllabus.yml").read_text("utf-8"))["pages"]


def false_promises(root):
    """Metadata that the page, or the syllabus, does not bear out."""
    found, planned, before = [], plan(root), set()
    for page in taught(root):
        given = metadata(root, page)
        wanted = planned.get(page.name, {}).get("items", {})
        said = [f"the syllabus has no page {page.name}"] if not wanted else []
        if not isinstance(given.get("minutes"), int):
            said.append("metadata dlbook.minutes is not a number")
        for other in set(given.get("builds_on", [])) - before:
            said.append(f"builds_on names {other}, which is no earlier page")
        for item, label in given.get("covers", {}).items():
            if item not in wanted:
                said.append(f"covers {item}, which the syllabus does not put here")
            under = section(root, page.path, label)
            if under is None:
                said.append(f"covers {item} at {label}, a label it does not have")
            elif not any(line.executed for line in under):
                said.append(f"covers {item} at {label}, where no code is executed")
        if not given.get("draft"):
            rest = wanted.keys() - given.get("covers", {}).keys()
            said += [f"does not cover {item}" for item in sorted(rest)]
        found += [f"{page.path}: {what}" for what in said]
        before |= {page.name, f"{page.chapter}/{page.name}"}
    return found


def test_metadata_is_true(holds):
    holds(false_promises(ROOT))


def covers(**items):
    return lambda notebook: notebook.metadata.dlbook.covers.update(items)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            covers(**{"XX-01": "depth-and-width-scratch"}),
            "covers XX-01, which the syll",
        ),
        (
            covers(**{"FF-21": "nowhere"}),
            "covers FF-21 at nowhere, a label it does not",
        ),
        (covers(**{"FF-21": "depth-and-width-task"}), "where no code is executed"),
        (
            lambda nb: nb.metadata.dlbook.update(builds_on=["xor"]),
            "builds_on names xor",
        ),
        (
            lambda nb: nb.metadata.dlbook.pop("minutes"),
            "dlbook.minutes is not a number",
        ),
        (lambda nb: nb.metadata.dlbook.pop("draft"), "does not cover FF-21"),
    ],
)
def test_a_false_promise_is_named(book, change, sentence):
    book.edit_notebook(book.first, covers(**{"FF-22": "depth-and-width-scratch"}))
    assert not false_promises(book.root)
    book.edit_notebook(book.first, change)
    found = false_promises(book.root)
    assert found
    assert f"{book.first}: " in found[0]
    assert sentence in found[0]


def repeated_labels(root):
    places = [(label, path) for path in documents(root) for label in labels(root, path)]
    count = Counter(label for label, _ in places)
    return [
        f"the label {label} stands {count[label]} times in the book, once in {path}"
        for label, path in places
        if count[label] > 1
    ]


def test_labels_are_unique_in_the_book(holds):
    holds(repeated_labels(ROOT))


def test_a_repeated_label_is_named(book):
    assert not repeated_labels(book.root)
    (book.root / "book/glossary.md").write_text("(depth-and-width-task)=\n# Words\n")
    assert len(repeated_labels(book.root)) == 2


def too_few(root):
    """Finished pages with too few live figures or exercises."""
    found = []
    for page in finished(root):
        live = sum(len(list(calls(body, "live"))) for _, body in cell_trees(root, page))
        exercises = len(list(exercise_sheets(root, page)))
        if live < LIVE:
            found.append(f"{page.path}: {live} live figures, at least {LIVE}")
        if exercises < EXERCISES:
            found.append(f"{page.path}: {exercises} exercises, at least {EXERCISES}")
    return found


def test_pages_have_live_figures_and_exercises(holds):
    holds(too_few(ROOT))


def test_a_thin_page_is_named(book):
    assert not too_few(book.root)
    book.finish(book.first)
    assert too_few(book.root) == [
        f"{book.first}: 1 live figures, at least 2",
        f"{book.first}: 1 exercises, at least 8",
    ]


def exercise_sheets(root, page):
    """Number, label and section of each exercise of the page."""
    prose = [line.text for line in lines(root, page.path) if line.text]
    for before, text in pairwise(prose):
        if match := TITLE.match(text):
            label = re.fullmatch(r"\((\S+)\)=", before.strip())
            name = label[1] if label else ""
            yield int(match[1]), name, section(root, page.path, name) or []


def bad_exercises(root):
    found = []
    for page in taught(root):
        solved = {
            label
            for other in pages(root)
            if other.name == "solutions" and other.chapter == page.chapter
            for label in labels(root, other.path)
        }
        for expected, (number, label, under) in enumerate(
            exercise_sheets(root, page), start=1
        ):
            where = f"{page.path}, exercise {number}"
            said = exercise_faults(number, label, under, solved)
            found += [f"{where}: {what}" for what in said]
            if number != expected:
                found.append(f"{where}: comes as number {expected}")
    return found


def exercise_faults(number, label, under, solved):
    """What an exercise lacks; `solved` are the labels of the solutions."""
    if not re.fullmatch(rf"ex-\S+-{number}", label):
        yield f"the line above it is not the label (ex-<page>-{number})="
        return
    text = "\n".join(line.text for line in under if line.text is not None)
    answer = f"sol-{label.removeprefix('ex-')}"
    if re.findall(r"<summary>(Hint \d)</summary>", text) != ["Hint 1", "Hint 2"]:
        yield "it needs two folded hints, Hint 1 and Hint 2"
    if "★" not in text or not re.search(r"\d+ min", text):
        yield "say how hard it is (★ to ★★★) and how many minutes it takes"
    if f"](#{answer})" not in text:
        yield f"it has no link [Solution](#{answer})"
    elif answer not in solved:
        yield f"no solutions page of the chapter has the label {answer}"
    if not any(line.executed for line in under):
        yield "it has no executed cell with a stub and its checker"


def test_exercises_are_complete(holds):
    holds(bad_exercises(ROOT))


@pytest.mark.parametrize(
    ("path", "old", "new", "sentence"),
    [
        ("first", "Hint 2", "Hint", "it needs two folded hints"),
        ("first", "5 minutes", "", "say how hard it is"),
        ("first", "(#sol-", "(#some-", "it has no link [Solution]"),
        ("first", "Exercise 1", "Exercise 2", "exercise 2: the line above"),
        ("solutions", "(sol-", "(some-", "no solutions page of the chapter"),
    ],
)
def test_an_incomplete_exercise_is_named(book, path, old, new, sentence):
    cell = "exercise-1" if path == "first" else "depth-and-width-1"
    assert not bad_exercises(book.root)
    book.edit_cell(getattr(book, path), cell, old, new)
    assert sentence in bad_exercises(book.root)[0]


def crooked_folds(root):
    """`<details>` that Jupyter, Colab or the site would show unrendered."""
    found = []
    for page in pages(root):
        for cell in read(root / page.path).cells:
            text = cell.source if cell.cell_type == "markdown" else ""
            opened = len(re.findall(r"^<details>", text, flags=re.M))
            blank_after = len(re.findall(r"</summary>\n\n", text))
            blank_before = len(re.findall(r"\n\n</details>", text))
            if not opened == text.count("<details") == blank_after == blank_before:
                where = f"{page.path}, cell {cell.id}"
                found.append(f"{where}: blank lines around what <details> folds")
    return found


def test_folds_render_everywhere(holds):
    holds(crooked_folds(ROOT))


def test_a_crooked_fold_is_named(book):
    assert not crooked_folds(book.root)
    book.edit_cell(
        book.first, "exercise-1", "</summary>\n\nA cube", "</summary>\nA cube"
    )
    (found,) = crooked_folds(book.root)
    assert f"{book.first}, cell exercise-1" in found

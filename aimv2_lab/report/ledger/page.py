"""The ledger as a Markdown page, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import get_args

from aimv2_lab.report.ledger import (
    aimv1,
    aimv1_training,
    aimv2_data,
    aimv2_decoder,
    aimv2_downstream,
    aimv2_encoder,
    aimv2_evaluation,
    aimv2_objective,
    aimv2_resolution,
    aimv2_training,
)
from aimv2_lab.report.ledger.entries import Entry, Mark, Section, Value
from aimv2_lab.report.ledger.places import NOTEBOOKS, lesson_link, locate, locate_test, preset_value

PAGE = NOTEBOOKS / "paper_ledger.md"
COMMAND = "python -m aimv2_lab.report.ledger"
PACKAGE = "aimv2_lab."
BAR = "\\|"  # a vertical bar inside a table

PAPERS: dict[str, tuple[Section, ...]] = {
    "AIMv2 (arXiv 2411.14402)": (
        *aimv2_encoder.SECTIONS,
        *aimv2_decoder.SECTIONS,
        *aimv2_objective.SECTIONS,
        *aimv2_data.SECTIONS,
        *aimv2_training.SECTIONS,
        *aimv2_resolution.SECTIONS,
        *aimv2_evaluation.SECTIONS,
        *aimv2_downstream.SECTIONS,
    ),
    "AIM v1 (arXiv 2401.08541)": (*aimv1.SECTIONS, *aimv1_training.SECTIONS),
}

MEANING: dict[Mark, str] = {
    "paper": "stated in the paper named by the heading",
    "released code": "not in the paper; in Apple's public code (ml-aim, ml-l3m) or its checkpoints' configurations",
    "our choice": "neither says; decided here",
    "second-hand": "of AIM v1's appendix, which was not at hand: known from others' code or notes, not verified",
}


def all_entries() -> list[Entry]:
    """Every entry of both papers, in the page's order."""
    return [entry for sections in PAPERS.values() for section in sections for entry in section.entries]


def problems(entries: Iterable[Entry]) -> list[str]:
    """What does not hold: names, tests, headings that do not exist, values that are not as stated, missing parts."""
    return [f"{entry.states}: {problem}" for entry in entries for problem in _problems_of(entry)]


def _problems_of(entry: Entry) -> Iterator[str]:
    if entry.absent and (entry.names or entry.values):
        yield "is said to be absent, yet names code"
    if not entry.absent and not (entry.names and entry.tests):
        yield "needs code and a test, or a reason why it is absent"
    lookups: list[tuple[Callable[[str], object], tuple[str, ...]]] = [
        (lambda name: locate(PACKAGE + name), entry.names),
        (locate_test, entry.tests),
        (lesson_link, (entry.lesson,) if entry.lesson else ()),
    ]
    for look_up, names in lookups:
        for name in names:
            try:
                look_up(name)
            except LookupError as error:
                yield str(error)
    for value in entry.values:
        try:
            found = preset_value(value.preset, value.field)
        except LookupError as error:
            yield str(error)
            continue
        if found != value.stated:
            yield f"{value.preset} has {value.field} = {found}, stated is {value.stated}"


def page() -> str:
    """The whole page. Raises LookupError for a name, test or heading that does not exist."""
    lines = [
        "# The paper ledger",
        "",
        "From the papers to the code: every equation, table row and hyper-parameter, the code that implements it, the "
        "section that teaches it, the test that holds it. The page is generated, and a test fails when a name "
        f"disappears, a preset's value differs from the stated one, or the page is out of date (`{COMMAND}`).",
        "",
        "| mark | meaning | entries | of them not here |",
        "| --- | --- | --- | --- |",
        *_summary(),
        "",
        "Names are within `aimv2_lab`; numbers in code are read from the named preset when the page is written.",
    ]
    for paper, sections in PAPERS.items():
        lines += ["", f"## {paper}"]
        for section in sections:
            lines += ["", f"### {section.title}", "", *_table(section)]
    return "\n".join(lines) + "\n"


def _summary() -> list[str]:
    count, absent = Counter(e.mark for e in all_entries()), Counter(e.mark for e in all_entries() if e.absent)
    return [f"| {mark} | {MEANING[mark]} | {count[mark]} | {absent[mark]} |" for mark in get_args(Mark)]


def _table(section: Section) -> list[str]:
    head = ["| stated | where, mark | code | taught in | test |", "| --- | --- | --- | --- | --- |"]
    return head + [
        f"| {e.states.replace('|', BAR)} | {e.where}<br>*{e.mark}* | {_code(e)} | {_lesson(e.lesson)} | {_tests(e)} |"
        for e in section.entries
    ]


def _code(entry: Entry) -> str:
    if entry.absent:
        return f"**not here:** {entry.absent}"
    code = [f"[`{name}`]({locate(PACKAGE + name).link})" for name in entry.names]
    return "<br>".join(code + _values(entry.values))


def _values(values: tuple[Value, ...]) -> list[str]:
    """One line for each preset, with the values that its recipe holds now."""
    presets = dict.fromkeys(value.preset for value in values)
    held = {preset: [value.field for value in values if value.preset == preset] for preset in presets}
    return [
        f"`{preset}`: " + ", ".join(f"{field.rpartition('.')[2]} = {preset_value(preset, field)}" for field in fields)
        for preset, fields in held.items()
    ]


def _lesson(lesson: str) -> str:
    if not lesson:
        return "–"
    number, _, heading = lesson.partition(": ")
    link = lesson_link(lesson)
    return f"[{number} {heading}".rstrip() + f"]({link})" if link else f"{number}, to come"


def _tests(entry: Entry) -> str:
    """Links whose text is the test's name in words, because long names with underscores do not wrap."""
    links = []
    for test in entry.tests:
        path, _, name = test.partition("::")
        words = name.removeprefix("test_").replace("_", " ")
        links.append(f"{path.rpartition('/')[2]}: [{words}]({locate_test(test).link})")
    return "<br>".join(links) or "–"

"""The paper ledger names what exists, and what it says of presets is what the presets hold."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from aimv2_lab.recipes import PRESETS
from aimv2_lab.report.ledger import page
from aimv2_lab.report.ledger.entries import Entry, values
from aimv2_lab.report.ledger.page import COMMAND, PAGE, PAPERS, all_entries, problems
from aimv2_lab.report.ledger.places import ROOT, lesson_link, locate, locate_test

SOUND = Entry(
    "a fact",
    "Table 0",
    "paper",
    ("model.masks.prefix_mask",),
    ("model/test_masks.py::test_a_prefix_of_one_is_causal",),
    "03: 2. The rule, by hand",
    values("tiny", {"encoder.width": 128}),
)

FAULTS = {
    "a function that was removed": ({"names": ("model.masks.prefix_masks",)}, "has no prefix_masks"),
    "a field that was renamed": (
        {"names": ("recipes.training.TrainingRecipe.decays",)},
        "has no TrainingRecipe.decays",
    ),
    "a module that was moved": ({"names": ("masks.prefix_mask",)}, "has no masks|no such module"),
    "a test that was removed": ({"tests": ("model/test_masks.py::test_nothing",)}, "has no test_nothing"),
    "a test file that was moved": ({"tests": ("test_masks.py::test_nothing",)}, "no file tests/test_masks.py"),
    "a heading that was reworded": ({"lesson": "03: 2. The rule"}, "has no such heading.*2. The rule, by hand"),
    "a heading of no notebook": ({"lesson": "77: The rule"}, "no notebook 77"),
    "a preset that was renamed": ({"values": values("tinny", {"encoder.width": 128})}, "no such preset"),
    "a field of no recipe": ({"values": values("tiny", {"encoder.breadth": 128})}, "has no encoder.breadth"),
    "a changed recipe": ({"values": values("tiny", {"encoder.width": 64})}, "encoder.width = 128, stated is 64"),
    "code without a test": ({"tests": ()}, "needs code and a test"),
    "absent, yet with code": ({"absent": "to come"}, "said to be absent, yet"),
}


def test_every_name_test_and_heading_exists_and_every_value_is_as_stated() -> None:
    assert problems(all_entries()) == []


def test_the_committed_page_is_the_generated_one() -> None:
    assert PAGE.read_text() == page.page(), f"run: {COMMAND}"


def test_a_sound_entry_has_no_problem() -> None:
    assert problems([SOUND]) == []
    assert problems([Entry("a fact", "Table 0", "paper", absent="to come")]) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_named(fault: str) -> None:
    changes, message = FAULTS[fault]
    (problem,) = problems([replace(SOUND, **changes)])  # type: ignore[arg-type]
    assert problem.startswith("a fact: ") and re.search(message, problem)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("aimv2_lab.model.masks.prefix_mask", "def prefix_mask("),
        ("aimv2_lab.model.patches.TARGET_EPS", "TARGET_EPS = 1e-6"),
        ("aimv2_lab.data.batches.Batch.split", "    def split("),  # imported from data.batch
        ("aimv2_lab.recipes.encoder._PatchGrid.patches", "    def patches("),
        ("aimv2_lab.model.decoder.MultimodalDecoder.start", "        self.start = "),
        ("aimv2_lab.data.order", '"""'),
    ],
)
def test_a_name_leads_to_the_line_that_defines_it(name: str, line: str) -> None:
    place = locate(name)
    assert (ROOT / place.path).read_text().splitlines()[place.line - 1].startswith(line)


def test_a_test_leads_to_its_line_and_a_planned_lesson_to_nothing() -> None:
    place = locate_test("model/test_masks.py::test_a_prefix_of_one_is_causal")
    line = (ROOT / place.path).read_text().splitlines()[place.line - 1]
    assert line.startswith("def test_a_prefix_of_one_is_causal(")
    assert lesson_link("77") is None
    assert lesson_link("03: 2. The rule, by hand") == "03_prefix_attention.ipynb#2.-The-rule,-by-hand"


def test_the_page_can_be_read_as_tables_with_links_that_lead_somewhere() -> None:
    text = PAGE.read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    widths = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
    assert widths == {5, 6}  # the table of marks, and those of entries
    assert len(rows) > len(all_entries())
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", text)
    assert links and not [link for link in set(links) if not (PAGE.parent / link).is_file()]


def test_every_table_of_both_papers_that_states_a_setting_is_covered() -> None:
    for paper, places in {
        "AIMv2": ("Table 1", "Table 2", "Table 9", "Table A1", "Table A2", "Figure 1", "section 2.4"),
        "AIM v1": ("Table 1", "Table 3", "training objective", "architecture", "appendix", "attentive probe"),
    }.items():
        (sections,) = [kept for name, kept in PAPERS.items() if name.startswith(f"{paper} ")]
        found = {entry.where for section in sections for entry in section.entries}
        assert not [place for place in places if not any(place in where for where in found)]


def test_every_published_size_is_in_the_ledger() -> None:
    named = {value.preset for entry in all_entries() for value in entry.values}
    trained = {name for name in PRESETS if re.fullmatch(r"aimv2-(large|huge|1b|3b)-224|aim-\d+[mb]", name)}
    assert trained and trained <= named

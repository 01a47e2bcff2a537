"""All faults on a page, and which of them a loss curve cannot show."""

from __future__ import annotations

from aimv2_lab.lessons.bugs.examinations import EXAMINATIONS
from aimv2_lab.lessons.bugs.faults import FAULTS

CURVES = ("curves", "noise")


def silent_faults() -> list[str]:
    """The faults that leave both losses inside the healthy band, on both phantoms."""
    return [fault.name for fault in FAULTS.values() if not set(CURVES) & set(fault.shown_by)]


def fault_table() -> str:
    """Every fault as a row of a Markdown table."""
    rows = ["| fault | what it is | symptom | stays normal | shown by | caught by |", "|---|---|---|---|---|---|"]
    for fault in FAULTS.values():
        shown = ", ".join(name for name in EXAMINATIONS if name in fault.shown_by)
        caught = f"`{fault.test}`"
        rows.append(f"| **{fault.name}** | {fault.sentence} | {fault.seen} | {fault.unseen} | {shown} | {caught} |")
    return "\n".join(rows)

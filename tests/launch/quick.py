"""Options of the launch commands that make runs short."""

from __future__ import annotations

from collections.abc import Mapping

# A model that takes milliseconds a step, on the pictures that come with the project.
QUICK = {
    "encoder": {"image-size": 32, "patch-size": 8, "width": 32, "depth": 2, "hidden": 64},
    "decoder": {"width": 32, "depth": 2, "hidden": 64, "vocabulary": 512},
    "training": {
        "warmup-steps": 2,
        "batch-size": 8,
        "micro-batch-size": 4,
        "log-every": 1,
        "validate-every": 10,
        "validation-batches": 2,
        "checkpoint-every": 5,
    },
}


def settings(groups: Mapping[str, Mapping[str, int]]) -> list[str]:
    """The fields as options of the command line."""
    return [
        word
        for group, fields in groups.items()
        for name, value in fields.items()
        for word in (f"--{group}.{name}", str(value))
    ]


SETTINGS = settings(QUICK)

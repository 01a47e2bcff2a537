"""A pytest plugin that runs tests against a fault, to see which of them catch it.

    python -m pytest -p aimv2_lab.lessons.bugs.plugin --fault "mask transposed" tests/model

Every test is set up and run with the fault applied; what the test modules did when they were imported is healthy.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from aimv2_lab.lessons.bugs.faults import find_fault


def pytest_addoption(parser: pytest.Parser) -> None:
    """The name of the fault, as in `FAULTS`."""
    parser.addoption("--fault", help="run every test with this fault of the bug clinic")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """One test, with the fault applied around it."""
    name = item.config.getoption("--fault")
    if name is None:
        return (yield)
    with find_fault(name).applied():
        return (yield)

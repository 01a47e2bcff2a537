"""environment.yml, pyproject.toml and constraints.txt say the same thing."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
NAMED = {"torch", "jupyterlab", "einops", "matplotlib", "datasets", "nbval", "deepspeed", "ipywidgets"}


def requirements() -> tuple[dict[str, Requirement], dict[str, Requirement]]:
    """pyproject.toml's core and extra requirements by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    core = map(Requirement, project["dependencies"])
    extra = (Requirement(row) for group in project["optional-dependencies"].values() for row in group)
    return {canonicalize_name(r.name): r for r in core}, {canonicalize_name(r.name): r for r in extra}


def pins() -> dict[str, Version]:
    """constraints.txt: name -> version."""
    rows = (ROOT / "constraints.txt").read_text().split()
    return {canonicalize_name(name): Version(version) for name, version in (row.split("==") for row in rows)}


def conda() -> tuple[list[str], list[str]]:
    """environment.yml's conda specs and pip lines."""
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    specs = [row for row in dependencies if isinstance(row, str)]
    return specs, [line for row in dependencies if isinstance(row, dict) for line in row["pip"]]


def conda_python() -> str:
    (spec,) = [row for row in conda()[0] if row.startswith("python=")]
    return spec.removeprefix("python=")


def test_conda_and_pip_users_get_the_same_packages() -> None:
    core, _ = requirements()
    names = {canonicalize_name(line) for line in conda()[1] if not line.startswith("-")}
    assert names == set(core)
    assert names >= NAMED
    assert {"-c constraints.txt", "-e .[dev]"} <= set(conda()[1])


def test_every_requirement_is_pinned_within_its_range() -> None:
    core, extra = requirements()
    locked = pins()
    for name, requirement in {**core, **extra}.items():
        assert requirement.specifier.contains(locked[name], prereleases=True), (name, locked[name], str(requirement))


def test_pins_have_no_local_version_and_name_no_host() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", row) for row in text.split()), text


def test_pythons_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert Requirement("python" + project["requires-python"]).specifier.contains(conda_python() + ".0")


def test_this_environment_is_the_pinned_one() -> None:
    if f"{sys.version_info.major}.{sys.version_info.minor}" != conda_python():
        pytest.skip(f"constraints.txt was resolved for Python {conda_python()}")
    core, extra = requirements()
    installed = {name: Version(metadata.version(name)).public for name in {**core, **extra}}
    assert installed == {name: pins()[name].public for name in installed}

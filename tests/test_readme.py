"""The README's commands run, its links lead somewhere, and what it says of make is what make does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages import fenced

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def commands() -> list[str]:
    """Every shell line, without its comment."""
    lines = (line.split("  #")[0].strip() for block in fenced(README, "sh") for line in block.splitlines())
    return [line for line in lines if line]


def made_by(target: str) -> list[str]:
    """The commands that `make TARGET` would run, once the environment is there."""
    installed = ["--assume-old=.venv/.installed", "--assume-old=.timm/.installed"]
    command = ["make", "--no-print-directory", "--dry-run", *installed, target]
    dry = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return dry.stdout.splitlines()


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder that sees the samples as a clone does."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / "data_samples").symlink_to(ROOT / "data_samples")
    return folder


def test_the_training_command_and_the_python_example_run(workplace: Path) -> None:
    (train,) = [line for line in commands() if "launch.pretrain" in line and "--rival" not in line]
    subprocess.run(train.replace(".venv/bin/python", sys.executable).split(), cwd=workplace, check=True)
    assert (workplace / "runs/small/recipe.json").exists()
    example, transformers, timm = fenced(README, "python")  # timm's: tests/formats/test_timm.py
    check = (
        "\nassert features.shape == (1, 64, 256)"
        "\nassert sum(p.numel() for p in model.encoder.parameters()) == 309_197_824"
    )
    on_meta = re.sub(r"^model = .*$", "with torch.device('meta'):\n    \\g<0>", example, flags=re.MULTILINE)
    subprocess.run([sys.executable, "-c", on_meta + check], cwd=workplace, check=True)
    for line in [line for line in commands() if "launch.export" in line]:
        subprocess.run(line.replace(".venv/bin/python", sys.executable).split(), cwd=workplace, check=True)
    assert (workplace / "encoders/small-timm/config.json").exists() and "encoders/small-timm" in timm
    equal = """
import aimv2_lab, torch
from PIL import Image
picture = Image.open("data_samples/imagefolder/train/00000000.jpg")
preprocessing = aimv2_lab.load_preprocessing("runs/small")
with torch.no_grad():
    ours = aimv2_lab.load_encoder("runs/small")(preprocessing(picture)[None])
assert features.shape == ours.shape and (features - ours).abs().max() <= 1e-5 * ours.abs().max()
"""
    subprocess.run([sys.executable, "-c", transformers + equal], cwd=workplace, check=True)


@pytest.mark.parametrize("target", ["demo", "test", "test-browser", "test-timm", "lab"])
def test_plain_commands_are_those_of_make(target: str) -> None:
    documented = [
        line for block in fenced(README, "sh") for line in block.splitlines() if line.endswith(f"# make {target}")
    ]
    (line,) = documented
    assert made_by(target) == [line.split("  #")[0].strip()]


def test_the_environment_is_made_as_documented() -> None:
    rule = (ROOT / "Makefile").read_text()
    assert "-m venv .venv" in rule
    assert ".venv/bin/python -m pip install -c constraints.txt -e '.[dev]'" in commands()
    assert "-m pip install --quiet -c constraints.txt -e '.[dev]'" in rule


def test_links_lead_somewhere() -> None:
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", README) if not target.startswith("http")]
    assert targets
    assert not [target for target in targets if not (ROOT / target).exists()]


def test_the_tree_names_every_room() -> None:
    rooms = {path.name for path in (ROOT / "aimv2_lab").iterdir() if path.is_dir() and path.name != "__pycache__"}
    (tree,) = [block for block in fenced(README, "") if "fields.py" in block]
    assert rooms == set(re.findall(r"^  (\w+)/", tree, flags=re.MULTILINE))


def test_no_placeholder_is_left() -> None:
    assert "@" not in README

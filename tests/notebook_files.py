"""Every notebook of the repository, for the tests that hold for all of them."""

from aimv2_lab.lessons.notebooks import NOTEBOOKS

FOLDER = NOTEBOOKS
PATHS = sorted([*FOLDER.glob("*.ipynb"), *FOLDER.glob("exercises/*.ipynb")])

"""What the notebooks import beyond the model: shown source, widgets, checks and the leak meter."""

import os

# Set while the notebooks are tested and when their stored outputs are made: shorter runs, same cells.
FAST = os.environ.get("AIMV2_LAB_FAST") == "1"

"""What the notebooks import beyond the model: shown source, widgets, checks and the leak meter."""

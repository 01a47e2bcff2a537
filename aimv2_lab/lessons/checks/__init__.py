"""Checks of the exercises, one module per notebook; `core` holds the machinery and the convention."""

"""Pictures and tables, one style for the demo, the launches and the lessons."""

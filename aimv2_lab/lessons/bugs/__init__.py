"""The bug clinic: realistic faults, runs that have one, examinations that show it, and the test that catches it."""

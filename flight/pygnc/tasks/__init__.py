"""Processes of a run: one folder each; `table.py` lists them, `runtime.py` contains their life cycle."""

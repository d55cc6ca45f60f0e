"""Processes of a run: one folder each; `table.py` lists them, `runtime.py` is their life cycle."""

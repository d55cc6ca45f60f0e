"""Inspection of files: every file type of PyGNC as text for people, and with `--json` for programs."""

"""Subcommands of `pygnc` for the analysis on the ground, one module each."""

"""Command line of `pygnc` and helpers shared by its subcommands."""

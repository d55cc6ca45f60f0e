"""The subcommands of `pygnc station`."""

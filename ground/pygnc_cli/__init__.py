"""The `pygnc` command and what its subcommands share."""

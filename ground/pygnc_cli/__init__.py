"""Command line of `pygnc` and helpers shared by its subcommands."""

import pygnc_devices as pygnc_devices  # refuses old versions of Python before they fail to read other modules

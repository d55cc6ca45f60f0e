"""Files that a run writes for the host."""

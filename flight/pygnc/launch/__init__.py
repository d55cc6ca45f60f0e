"""Start of a run: arguments, home, lock, processes."""

"""How a run begins: arguments, home, lock, processes."""

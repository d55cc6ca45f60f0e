"""The process tree: start, health, restarts, stopping."""

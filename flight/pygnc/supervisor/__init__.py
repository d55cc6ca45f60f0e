"""Process tree of a run: start, health checks, restarts, stop."""

"""Trackers of orbit, attitude and formation: inputs become estimates, without I/O and without a clock."""

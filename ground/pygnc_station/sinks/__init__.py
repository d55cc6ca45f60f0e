"""Outputs of a station, one module for each kind. They read the store, so they never delay a logger."""

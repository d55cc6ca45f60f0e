"""Typed settings and their loader; data tables."""

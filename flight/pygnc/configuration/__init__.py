"""Typed settings, their loader, and readers of the data tables."""

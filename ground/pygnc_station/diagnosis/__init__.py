"""Checks of stations and servers, whose findings `pygnc station doctor` prints."""

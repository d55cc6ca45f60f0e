"""Answers that are waited for."""

"""Estimators without I/O: every input is an argument, every output a return value."""

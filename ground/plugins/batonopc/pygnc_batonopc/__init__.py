"""Uploads, readings, databases and settings of the program batonopc."""

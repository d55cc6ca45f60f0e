"""Fixes from the values of receivers' messages, of ports of the computer and of logs on the ground."""

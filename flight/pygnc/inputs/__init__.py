"""Inputs of a run: files, live packets and readings, converted to messages in the order of their time."""

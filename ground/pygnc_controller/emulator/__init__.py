"""The host controller (a PyCubed) as PyGNC meets it: the line, the shell, the streaming interface, the power switch."""

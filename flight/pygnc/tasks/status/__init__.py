"""Process that writes the status record and the info text."""

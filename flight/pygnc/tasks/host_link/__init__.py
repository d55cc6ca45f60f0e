"""Process that serves the streaming interface to the host controller."""

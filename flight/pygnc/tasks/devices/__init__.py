"""Process that reads the sensors that the settings name."""

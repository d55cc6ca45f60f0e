"""What an orbit really was: a scenario's table of truth, or a precise ephemeris."""

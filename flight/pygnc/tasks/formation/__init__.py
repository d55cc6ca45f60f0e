"""Process that estimates the orbits of the partner satellites."""

"""Reference orbits and attitudes: truth tables of scenarios and precise ephemerides."""

"""Constants and time: what every other package of the flight side may know."""

"""Raw measurements of satellite navigation receivers: their files, and the orbits of the satellites."""

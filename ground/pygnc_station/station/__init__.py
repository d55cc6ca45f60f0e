"""A sensor station: logs devices for years, gets their readings to a server, and says what is wrong."""

"""Made-up flights: the flight's own input files, and the truth behind them."""

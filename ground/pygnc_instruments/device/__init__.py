"""`pygnc device`: commands for sensors of any family, log files of readings, and their upload."""

"""Player of a replay: its data and scripts, which the report contains."""

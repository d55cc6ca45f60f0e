"""The stations' server: takes batches once, shows readings, and believes nothing that it has not verified."""

"""One module per file format: pure functions from bytes to records and back."""

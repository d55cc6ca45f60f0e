"""Tables that the ground writes: declaration of their columns, and Parquet files that explain themselves."""

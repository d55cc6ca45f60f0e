"""What people look at after a replay."""

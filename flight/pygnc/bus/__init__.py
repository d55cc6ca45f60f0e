"""What is said between the tasks, and how."""

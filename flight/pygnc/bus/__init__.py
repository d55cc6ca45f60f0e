"""Messages between the tasks, their transport and their journals."""

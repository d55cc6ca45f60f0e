"""Constants, time, arrays, quaternions and files: shared by all packages of the flight software."""

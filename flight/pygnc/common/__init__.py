"""Constants, time, mean elements, arrays, quaternions and checks, shared by all packages of the flight software."""

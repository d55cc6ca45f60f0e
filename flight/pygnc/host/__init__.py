"""The streaming interface between host controller and Pi, without ports, files and clocks: these enter as arguments."""

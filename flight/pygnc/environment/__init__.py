"""Models of the space environment: frames, gravity, drag, Sun, Moon, eclipse, albedo, geomagnetic field."""

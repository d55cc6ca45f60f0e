"""Process that writes the interface files from the input journal."""

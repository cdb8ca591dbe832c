"""Packaged profiles: differences from the defaults."""

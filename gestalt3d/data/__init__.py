"""Data sets, each a class that yields `Scan`s."""

"""Evaluators: NumPy arrays in, numbers out. Nothing here imports torch or numba."""

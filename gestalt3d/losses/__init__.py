"""Training losses that several methods share."""

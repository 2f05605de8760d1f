"""Files to structures and back."""

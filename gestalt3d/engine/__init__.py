"""Training, evaluation and segmentation of many files."""

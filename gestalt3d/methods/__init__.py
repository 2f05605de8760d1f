"""One paper, one file; and the baselines they are compared with."""

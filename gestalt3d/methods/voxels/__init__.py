"""What methods that part labelled voxels into instances share: MTML and its baselines."""

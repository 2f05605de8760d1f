"""What methods share that look at a whole scene of some thousand points and at regions in it."""

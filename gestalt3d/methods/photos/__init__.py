"""What methods share that complete masks in photos."""

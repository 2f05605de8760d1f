"""`python -m gestalt3d`, also for torchrun."""

from gestalt3d.cli import main

main()

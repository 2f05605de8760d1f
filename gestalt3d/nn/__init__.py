"""Network parts: backbones that several methods share."""

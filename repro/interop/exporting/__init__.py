"""Models of this kit for other programs."""

"""Models of others for this kit."""

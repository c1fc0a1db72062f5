"""What runs of a study measured, and what follows from it."""

"""Weights on their way to and from other programs."""

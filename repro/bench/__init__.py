"""Measurements, as rows like those of ``data/measured/``."""

"""Figures that can be read in greyscale: as files, and as pixels for TensorBoard."""

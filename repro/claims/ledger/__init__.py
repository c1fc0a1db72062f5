"""Every claim of the paper, and whether what was measured here supports it."""

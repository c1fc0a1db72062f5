"""Downstream tasks: lm-eval's and the kit's own, asked of a run's checkpoint."""

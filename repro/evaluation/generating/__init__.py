"""Text that a model goes on with."""

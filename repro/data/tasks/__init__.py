"""The data of downstream tasks: which they are, where they lie as JSON lines, and how they come there."""

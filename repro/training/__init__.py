"""Training: the only place that knows Lightning's Trainer, sharding and launchers."""

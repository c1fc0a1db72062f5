"""`repro analyze`: the checkpoints of a run, looked into, as tables and figures."""

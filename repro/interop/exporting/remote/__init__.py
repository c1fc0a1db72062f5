"""What an export carries along for models that transformers does not have: copied as it is, so it imports no repro."""

"""Evidence: what runs measured, side by side. No torch here: everything is read from run folders."""

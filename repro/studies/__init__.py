"""Many runs at once, each a process of its own."""

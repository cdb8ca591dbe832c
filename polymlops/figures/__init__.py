"""Records in, figures out; saving happens in one place."""

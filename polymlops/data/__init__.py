"""The embedded world, cleaning, splits, prompts and suites."""

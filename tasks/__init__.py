"""Prefect tasks, one a stage: a library call and its tracking."""

"""Prefect tasks, one a stage: a library call and its tracking. Only these know both Prefect and the library."""

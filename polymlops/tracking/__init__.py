"""The ledger of stages: MLflow runs, artifacts with digests, a local cache. The one place that talks to MLflow."""

"""MLflow: runs, the stage ledger, artifacts."""

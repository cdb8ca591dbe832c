"""The folder that `evaluate.load` takes for USQ@k."""

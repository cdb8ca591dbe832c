"""The folder that `evaluate.load` takes for pass@k."""

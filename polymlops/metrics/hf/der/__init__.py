"""The folder that `evaluate.load` takes for DER@k."""

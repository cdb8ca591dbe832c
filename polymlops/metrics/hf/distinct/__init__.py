"""The folder that `evaluate.load` takes for distinct-n."""

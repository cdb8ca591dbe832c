"""The folder that `evaluate.load` takes for self-BLEU."""

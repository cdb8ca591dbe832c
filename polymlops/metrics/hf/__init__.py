"""The metrics as Hugging Face `evaluate` modules: `evaluate.load(<folder of one of them>)`, offline."""

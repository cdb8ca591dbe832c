"""Sample sets: n candidates for every prompt, made once."""

"""Fine-tuning for people who are shown k candidates and pick one: a pure library, see DESIGN in the README."""

"""Base models, adapters and encoders."""

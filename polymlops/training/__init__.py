"""Supervised, polychromic and reward-driven fine-tuning, with their dynamics."""

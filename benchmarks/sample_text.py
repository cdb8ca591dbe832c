"""The text that contestants share: made from a seed, so that no download is needed."""

from __future__ import annotations

import numpy as np

WORDS = 25


def replies(prompts: int, candidates: int) -> list[list[str]]:
    """Replies of about 25 words: a Zipf vocabulary with inflections, and stock phrases that candidates share."""
    rng = np.random.default_rng(0)
    endings = ["", "", "s", "ed", "ing", "ness", "ful", "ation", "ly", "izer"]
    syllables = [a + b for a in "bdfgklmnprst" for b in ("a", "e", "i", "o", "u", "ai", "or")]
    vocabulary = ["".join(rng.choice(syllables, rng.integers(1, 4))) + str(rng.choice(endings)) for _ in range(3_000)]
    chances = 1 / np.arange(1, 3_001)
    chances /= chances.sum()
    stock = [" ".join(rng.choice(vocabulary, 5, p=chances)) for _ in range(60)]

    def reply() -> str:
        length, parts = int(rng.integers(WORDS - 5, WORDS + 6)), []
        while sum(part.count(" ") + 1 for part in parts) < length:
            parts.append(str(rng.choice(stock) if rng.random() < 0.1 else rng.choice(vocabulary, p=chances)))
        return " ".join(parts)

    return [[reply() for _ in range(candidates)] for _ in range(prompts)]

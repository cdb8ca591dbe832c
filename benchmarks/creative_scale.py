"""Creative writing at scale: `python benchmarks/creative_scale.py` scores 1,000 prompts x 64 candidates lexically.

All lexical metrics of the domain: self-BLEU, pairwise BLEU, distinct-2, rarefied distinct-2, entropy of bigrams,
compression ratio, duplicates, repetition. First they are held against straightforward code on a sample; then everything
is timed in one process on two cores at most. `--novelty` adds embeddings, classes and NoveltyBench's measures.
"""

from __future__ import annotations

import argparse
import gzip
import math
import os
import time
from collections import Counter
from itertools import permutations

import numpy as np
import polars as pl
from side_by_side import machine, write_section

from polymlops.config.creative import CreativeScoring
from polymlops.evaluation.creative_diversity import classes, novelty, within_prompts
from polymlops.evaluation.creative_equivalence import ByCosine
from polymlops.metrics.quality import repetition

CORES, TARGET, TOLERANCE, RAREFIED = 2, 60.0, 1e-9, 100
DIMENSIONS = 384
SYLLABLES = [a + b for a in "bdfgklmnprst" for b in "aou"]
PHRASES = 60
Rows = list[list[str]]


def main() -> None:
    """Check a sample, time the whole, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--candidates", type=int, default=64)
    parser.add_argument(
        "--words", type=int, default=100, help="draws of a text; one in twenty is a phrase of five words"
    )
    parser.add_argument("--checked", type=int, default=3, help="prompts that are held against straightforward code")
    parser.add_argument("--novelty", action="store_true", help="classes and NoveltyBench's measures as well")
    options = parser.parse_args()
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[-CORES:]))
    frame = samples(options.prompts, options.candidates, options.words)
    lexical_scores(frame.head(2 * options.candidates))  # what is compiled is compiled before the clock starts
    difference = largest_difference(frame, options.checked, options.candidates)
    start, busy = time.perf_counter(), time.process_time()
    lexical_scores(frame)
    taken, busy = time.perf_counter() - start, time.process_time() - busy
    words = frame["text"].str.count_matches(" ").sum() + len(frame)
    verdict = "met" if taken < TARGET else "**missed**"
    line = (
        f"{options.prompts:,} prompts x {options.candidates} candidates x {words / len(frame):.0f} words: "
        f"{taken:.1f} s on {CORES} cores, {busy:.1f} s of processor time (target: under {TARGET:.0f} s, {verdict}); "
        f"largest difference from "
        f"straightforward code on {options.checked} prompts {difference:.1e}."
    )
    print(line)
    lines = ["## Creative writing, lexical scores", "", f"{machine().replace('one core', f'{CORES} cores')}.", "", line]
    if options.novelty:
        lines.append(novelty_line(frame))
        print(lines[-1])
    write_section("creative_scale", lines)


def samples(prompts: int, candidates: int, words: int) -> pl.DataFrame:
    """A sample set's columns: Zipf words, and stock phrases of five words that its texts share."""
    rng = np.random.default_rng(0)
    vocabulary = np.array([a + b + c for a in SYLLABLES for b in SYLLABLES for c in SYLLABLES][::16])
    chances = 1 / np.arange(1, len(vocabulary) + 1)
    units = np.concatenate([vocabulary, [" ".join(rng.choice(vocabulary, 5)) for _ in range(PHRASES)]])
    chances = np.append(0.95 * chances / chances.sum(), np.full(PHRASES, 0.05 / PHRASES))
    drawn = units[rng.choice(len(units), (prompts * candidates, words), p=chances)]
    rows = [(f"p{i // candidates:04d}", " ".join(row)) for i, row in enumerate(drawn.tolist())]
    return pl.DataFrame(rows, {"prompt_id": pl.String, "text": pl.String}, orient="row")


def lexical_scores(frame: pl.DataFrame) -> dict[str, np.ndarray]:
    """Every lexical metric, a value a prompt; of repetition, a value a candidate."""
    return within_prompts(frame, RAREFIED) | {"repetition": repetition(frame["text"].to_list(), 3)}


def largest_difference(frame: pl.DataFrame, checked: int, candidates: int) -> float:
    """Largest difference from straightforward code over all metrics. Raises: AssertionError where it is no rounding."""
    part = frame.head(checked * candidates)
    ours = lexical_scores(part)
    texts = part["text"].to_list()
    rows = [texts[i * candidates : (i + 1) * candidates] for i in range(checked)]
    theirs = straightforward(rows)
    differences = {name: float(np.abs(np.asarray(values) - ours[name]).max()) for name, values in theirs.items()}
    wrong = {name: value for name, value in differences.items() if not value <= TOLERANCE}
    if wrong or set(theirs) != set(ours):
        raise AssertionError(f"not the same as straightforward code: {wrong or set(theirs) ^ set(ours)}")
    return max(differences.values())


def straightforward(rows: Rows) -> dict[str, list[float]]:
    """The metrics as a textbook would write them."""
    return {
        "self_bleu": [mean([bleu(t, [o for j, o in enumerate(r) if j != i]) for i, t in enumerate(r)]) for r in rows],
        "pairwise_bleu": [mean([bleu(a, [b]) for a, b in permutations(row, 2)]) for row in rows],
        "distinct_2": [len(bigrams(row)) / bigrams(row).total() for row in rows],
        f"rarefied_distinct_2_at_{RAREFIED}": [rarefied(bigrams(row)) for row in rows],
        "ngram_entropy_2": [entropy(bigrams(row)) for row in rows],
        "compression_ratio": [ratio("\n".join(row).encode()) for row in rows],
        "duplicate_share": [1 - len(set(row)) / len(row) for row in rows],
        "repetition": [1 - len(set(ngrams(t.split(), 3))) / len(ngrams(t.split(), 3)) for row in rows for t in row],
    }


def bleu(text: str, references: list[str]) -> float:
    """Sentence BLEU-4, uniform weights, smoothing method 1 of Chen & Cherry 2014."""
    words, others = text.split(), [reference.split() for reference in references]
    precisions = []
    for n in range(1, 5):
        found = Counter(ngrams(words, n))
        allowed: Counter = Counter()
        for other in others:
            allowed |= Counter(ngrams(other, n))
        matches = sum((found & allowed).values())
        if n == 1 and matches == 0:
            return 0.0
        precisions.append((matches or 0.1) / max(1, found.total()))
    closest = min((abs(len(other) - len(words)), len(other)) for other in others)[1]
    penalty = 1.0 if len(words) > closest else math.exp(1 - closest / len(words))
    return penalty * math.exp(mean([math.log(value) for value in precisions]))


def rarefied(counts: Counter) -> float:
    """Expected distinct share of RAREFIED bigrams drawn without replacement, in exact whole numbers."""
    total = counts.total()
    draws = math.comb(total, RAREFIED)
    return sum(1 - math.comb(total - count, RAREFIED) / draws for count in counts.values()) / RAREFIED


def entropy(counts: Counter) -> float:
    """Shannon entropy in nats."""
    return -sum(count / counts.total() * math.log(count / counts.total()) for count in counts.values())


def ratio(raw: bytes) -> float:
    """Bytes before and after gzip."""
    return len(raw) / len(gzip.compress(raw, mtime=0))


def bigrams(texts: list[str]) -> Counter:
    """Bigrams of all texts."""
    return Counter(gram for text in texts for gram in ngrams(text.split(), 2))


def ngrams(words: list[str], n: int) -> list[tuple[str, ...]]:
    """N-grams of one text."""
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def mean(values: list[float]) -> float:
    """Arithmetic mean."""
    return math.fsum(values) / len(values)


def novelty_line(frame: pl.DataFrame) -> str:
    """Time of classes, distinct_k and utility_k, on random embeddings: what an encoder takes is its own."""
    rng = np.random.default_rng(0)
    quality = pl.Series("quality", rng.random(len(frame)))

    def encode(texts: list[str]) -> np.ndarray:
        return rng.normal(size=(len(texts), DIMENSIONS))

    start = time.perf_counter()
    classed = frame.with_columns(classes(frame, encode, ByCosine(0.1)))
    novelty(classed, quality, CreativeScoring())
    return (
        f"Classes, distinct_k and utility_k of the same, {DIMENSIONS} dimensions: {time.perf_counter() - start:.1f} s."
    )


if __name__ == "__main__":
    main()

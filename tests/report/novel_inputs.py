"""Small scores and sample sets of the shape that the stages write, with arms whose differences are known."""

import numpy as np
import polars as pl

WORDS = ("dog", "vet", "park", "walk", "sleep", "limp", "call", "maybe", "always", "never", "why", "joke", "tip", "run")


def write_arm(folder, label, chance, *, domain="social", prompts=30, n=12, reward=True, seed=0):
    """Scores and samples of one arm and seed; `chance` moves the quality, of which the reward sees a part."""
    arm, training_seed = label.split("/")
    rng = np.random.default_rng([seed, int(training_seed), len(arm)])
    easy_P = np.random.default_rng(9).normal(0, 0.1, prompts)
    rows = []
    for p in range(prompts):
        for k in range(n):
            quality = float(np.clip(rng.normal(chance + easy_P[p], 0.2), 0, 1))
            row = {
                "arm": arm,
                "seed": int(training_seed),
                "domain": domain,
                "prompt_id": f"p{p:03d}",
                "sample_id": k,
                "passed": quality > 0.6,
                "quality": quality,
                "intent": "joke",
                "well_formed": True,
                "selector_logprob": float(rng.normal()),
                "selector_length": float(rng.integers(10, 60)),
            }
            rows.append(row | ({"selector_reward": quality + float(rng.normal(0, 0.1))} if reward else {}))
    scores = pl.DataFrame(rows)
    texts = [" ".join(rng.choice(WORDS, rng.integers(3, 9))) for _ in rows]
    samples = scores.select("arm", "seed", "domain", "prompt_id", "sample_id").with_columns(
        prompt=pl.lit("my dog limps since the walk, what now?"),
        text=pl.Series(texts),
        token_count=pl.lit(7),
        logprob=pl.lit(-9.0),
        finish_reason=pl.lit("stop"),
    )
    diversity = scores.select("prompt_id").unique().with_columns(semantic_diversity=pl.lit(0.4), distinct_intents=1.0)
    for kind, frames in (("scores", {"scores": scores, "diversity": diversity}), ("samples", {"samples": samples})):
        (folder / kind / label).mkdir(parents=True)
        for name, frame in frames.items():
            frame.sample(fraction=1, shuffle=True, seed=1).write_parquet(folder / kind / label / f"{name}.parquet")
    return folder / "scores" / label, folder / "samples" / label


def write_arms(folder, chances, **settings):
    """Folders of scores and of samples by label."""
    found = {label: write_arm(folder, label, chance, **settings) for label, chance in chances.items()}
    return {label: pair[0] for label, pair in found.items()}, {label: pair[1] for label, pair in found.items()}

"""Scores of made-up arms in made-up domains, whose gains are known."""

from __future__ import annotations

import numpy as np

from polymlops.config.cross_domain import CrossDomainSpec, DomainView
from polymlops.config.sampling import SamplingConfig
from polymlops.evaluation.cross_domain_records import DomainScores

SAMPLING = SamplingConfig(n=8)
DOMAINS = ("social", "creative", "code_world")
# Added to the base: home more diverse; creative keeps it, code loses it. `baseline` narrows everywhere.
DIVERSITY = {
    "polychromic": {"social": 0.2, "creative": 0.1, "code_world": -0.2},
    "baseline": {"social": -0.1, "creative": -0.1, "code_world": -0.1},
    "zero_shot": {},
}


def spec(**changes):
    view = DomainView(sampling=SAMPLING)
    settings = {"domains": dict.fromkeys(DOMAINS, view), "trained": ("baseline", "polychromic"), "ks": (1,)}
    return CrossDomainSpec(**(settings | {"resamples": 400} | changes))


def scores(domain, arm, seed=42, prompts=30, **changes):
    rng = np.random.default_rng([sum(map(ord, domain)), prompts])  # equal for the arms: differences are exact
    base_P = rng.uniform(0.4, 0.6, prompts)
    gain = DIVERSITY.get(arm, {}).get(domain, 0.0)
    noise_P = np.random.default_rng([seed, len(arm)]).normal(0, 0.01, prompts) * (arm != "zero_shot")
    values = {"quality": base_P / 2, "semantic_diversity": base_P + gain + noise_P - noise_P.mean()}
    given = {
        "domain": domain,
        "arm": arm,
        "seed": 0 if arm == "zero_shot" else seed,
        "n": SAMPLING.n,
        "sampling": SAMPLING,
        "prompts": tuple(f"p{i:02d}" for i in range(prompts)),
        "values": values,
    }
    return DomainScores(**(given | changes))


def all_scores(seeds=(42,)):
    arms = [("zero_shot", 0), *((arm, seed) for arm in ("baseline", "polychromic") for seed in seeds)]
    return [scores(domain, arm, seed) for domain in DOMAINS for arm, seed in arms]

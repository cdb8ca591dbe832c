"""Sample sets of creative writing, made by hand."""

from __future__ import annotations

import numpy as np
import polars as pl

from polymlops.data.world_stories import draw_story, parse_story_prompt, render_story, story_prompts
from polymlops.generation.sampling import SCHEMA


def story(prompt, care, seed=0):
    """A story of the world for a prompt of the world."""
    rng = np.random.default_rng(seed)
    return render_story(draw_story(*parse_story_prompt(prompt), care=care, rng=rng), rng)


def stories(prompts, candidates, care=0.6):
    """Texts by prompt: every one of the world's first prompts with as many stories."""
    texts = story_prompts(0, prompts)
    return {prompt: [story(prompt, care, 100 * i + j) for j in range(candidates)] for i, prompt in enumerate(texts)}


def write_samples(folder, texts_of, cut=(), arm="baseline"):
    """Write texts by prompt as a sample set; `cut` names (prompt number, sample number) that hit the token limit."""
    rows = [
        (
            *(arm, 42, "creative", f"p{i}", j, prompt, text, 10, -5.0, 1.0),
            "length" if (i, j) in cut else "stop",
        )
        for i, (prompt, texts) in enumerate(texts_of.items())
        for j, text in enumerate(texts)
    ]
    pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(folder / "samples.parquet")
    return folder

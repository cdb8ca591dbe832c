"""What `evaluate` takes. Imports click only, as flows.cli does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from flows.score_options import parsed_ks
from flows.suite_options import SUITE, suite_option

F = Callable[..., Any]
DOMAINS = ("social", "code", "creative")

OPTIONS = (
    click.option(
        "--model",
        required=True,
        metavar="REF",
        help="A folder, owner/name[@commit] on the Hub, runs:/ID[/PATH], models:/NAME/VERSION or models:/NAME@ALIAS.",
    ),
    click.option(
        "--adapter", metavar="REF", help="A LoRA adapter that was trained here on that model: folder or runs:/."
    ),
    click.option("--domain", required=True, type=click.Choice(DOMAINS), help="What it is evaluated on."),
    click.option(
        "--reward", metavar="REF", help="Domain social: a reward model, whose opinion is the quality of data of yours."
    ),
    suite_option("Domain code: which problems. Default: world, the embedded world's."),
    *SUITE,
    click.option(
        "--format", "prompt_format", type=click.Choice(["base", "chat", "turn"]), help="How problems are asked."
    ),
    click.option("--prompts", default=1000, show_default=True, type=click.IntRange(1), help="At most."),
    click.option("--n", default=10, show_default=True, type=click.IntRange(1), help="Candidates a prompt."),
    click.option("--k", "ks", multiple=True, callback=parsed_ks, metavar="K,K,...", help="Default: 1,5,10 up to n."),
    click.option("--temperature", default=0.7, show_default=True, type=click.FloatRange(0, min_open=True)),
    click.option("--top-p", default=0.9, show_default=True, type=click.FloatRange(0, 1, min_open=True)),
    click.option(
        "--max-new-tokens",
        type=click.IntRange(1),
        help="Default: social 64, creative 128, code 256.",
        metavar="INTEGER",
    ),
    click.option("--seed", default=1234, show_default=True, type=click.IntRange(0), help="Of sampling."),
    click.option("--resamples", default=10_000, show_default=True, type=click.IntRange(100), help="Of the bootstrap."),
    click.option("--profile", default="demo", show_default=True, metavar="PROFILE|FILE", help="Settings of the rest."),
    click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override one value of the profile: data.source, creative.source, creative.judge, sampling.batch, "
        "tracking.uri, or how a model is loaded (base_model.dtype, .device, .quantization).",
    ),
    click.option("--out", default="evaluation", show_default=True, metavar="FOLDER", help="Samples, scores, table."),
    click.option("--json", "as_json", is_flag=True, help="Print the results as JSON."),
)


def evaluate_options(command: F) -> F:
    """The options of `evaluate`."""
    for decorate in reversed(OPTIONS):
        command = decorate(command)
    return command

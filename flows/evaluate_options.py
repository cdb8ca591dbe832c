"""What `evaluate` takes. Imports click only, as flows.cli does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from flows.score_options import parsed_ks
from flows.suite_options import SUITE, suite_option

F = Callable[..., Any]

OPTIONS = (
    click.option(
        "--model", required=True, metavar="REF", help="Folder of a causal language model, or its id on the Hub."
    ),
    click.option("--adapter", metavar="FOLDER", help="A LoRA adapter that was trained here on that model."),
    click.option("--domain", required=True, type=click.Choice(["code"]), help="What it is evaluated on."),
    suite_option("Which problems. Default: world, the embedded world's."),
    *SUITE,
    click.option(
        "--format", "prompt_format", type=click.Choice(["base", "chat", "turn"]), help="How problems are asked."
    ),
    click.option("--problems", default=1000, show_default=True, type=click.IntRange(1), help="At most."),
    click.option("--n", default=10, show_default=True, type=click.IntRange(1), help="Candidates a problem."),
    click.option("--k", "ks", multiple=True, callback=parsed_ks, metavar="K,K,...", help="Default: 1,5,10 up to n."),
    click.option("--temperature", default=0.7, show_default=True, type=click.FloatRange(0, min_open=True)),
    click.option("--top-p", default=0.9, show_default=True, type=click.FloatRange(0, 1, min_open=True)),
    click.option("--max-new-tokens", default=256, show_default=True, type=click.IntRange(1)),
    click.option("--seed", default=1234, show_default=True, type=click.IntRange(0), help="Of sampling."),
    click.option("--resamples", default=10_000, show_default=True, type=click.IntRange(100), help="Of the bootstrap."),
    click.option("--out", default="evaluation", show_default=True, metavar="FOLDER", help="Samples, verdicts, table."),
    click.option("--json", "as_json", is_flag=True, help="Print the results as JSON."),
)


def evaluate_options(command: F) -> F:
    """The options of `evaluate`."""
    for decorate in reversed(OPTIONS):
        command = decorate(command)
    return command

"""What `score` and `compare` take. Imports click only, as flows.cli does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from flows.suite_options import SUITE, suite_option

F = Callable[..., Any]


def parsed_ks(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> tuple[int, ...]:
    """`--k 1,5,10` or `--k 1 --k 5`, ascending, each once."""
    parts = [part.strip() for value in values for part in value.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise click.BadParameter(f"{', '.join(values)} is not a list of whole numbers from 1 up, like 1,5,10")
    return tuple(sorted({int(part) for part in parts}))


SHARED = (
    click.option(
        "--k",
        "ks",
        multiple=True,
        callback=parsed_ks,
        metavar="K,K,...",
        help="Candidates shown. Default: 1,2,5,10,...,n.",
    ),
    click.option("--resamples", default=10_000, show_default=True, type=click.IntRange(100), help="Of the bootstrap."),
    click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of the bootstrap."),
    click.option(
        "--tokenizer",
        default="whitespace",
        show_default=True,
        type=click.Choice(["whitespace", "words", "alphanumeric"]),
    ),
    click.option(
        "--rarefied",
        default=0,
        type=click.IntRange(0),
        help="Bigrams of rarefied distinct-2. Default: what 95 % of prompts have.",
    ),
    click.option("--encoder", metavar="FOLDER", help="A sentence encoder, for diversity of meaning."),
    click.option("--out", metavar="FOLDER", help="Write tables and figures there."),
    click.option("--json", "as_json", is_flag=True, help="Print the results as JSON."),
    click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="tracking.uri or output_dir of the store."
    ),
)
SCORE = (
    click.argument("files", nargs=-1, required=True, metavar="FILE..."),
    click.option("--pass-hat", is_flag=True, help="Also pass^k, the chance that all k pass."),
    click.option(
        "--threshold",
        default=0.01,
        show_default=True,
        type=click.FloatRange(0, min_open=True),
        help="Of the collapse point.",
    ),
    click.option("--track", is_flag=True, help="Log an MLflow run."),
    click.option(
        "--domain", default="candidates", show_default=True, help="First part of the metrics' names in MLflow."
    ),
    suite_option("Completions are programs for this suite: execute them in the sandbox first."),
    *SUITE,
)
COMPARE = (
    click.argument("inputs", nargs=-1, required=True, metavar="FILE|RUN..."),
    click.option("--reference", metavar="ARM", help="What the others are compared with. Default: the first arm."),
    click.option(
        "--metric", "metrics", multiple=True, metavar="NAME", help="Only these: the family of tests is smaller."
    ),
)


def score_options(command: F) -> F:
    """FILE... and the options of `score`."""
    return _with((*SCORE, *SHARED), command)


def compare_options(command: F) -> F:
    """FILE|RUN... and the options of `compare`."""
    return _with((*COMPARE, *SHARED), command)


def _with(decorators: tuple[F, ...], command: F) -> F:
    for decorate in reversed(decorators):
        command = decorate(command)
    return command

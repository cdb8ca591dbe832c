"""The stage that makes a sample set: n candidates for every prompt of the test split from one arm.

Shards are written as they come, each moved into place when it is whole; a killed run goes on at the first missing one.
What is asked, and how, is a `Questions`: `sample_arm` asks social posts, `code_sampling` programming problems.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from polymlops.config.sampling import SamplingConfig
from polymlops.config.slices import SampleSpec
from polymlops.data.prompts import Prompt, chat, few_shot_examples, prompts_of
from polymlops.errors import InputError
from polymlops.generation.decoding import Candidate, Decoding, prompt_key, sample_candidates
from polymlops.generation.encoding import decode_candidate, encode_chat
from polymlops.models.loading import load_tokenizer, load_with_adapter
from polymlops.records import Job

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Encode = Callable[["PreTrainedTokenizerFast", Prompt], list[int]]
Decode = Callable[["PreTrainedTokenizerFast", Candidate], str]
# Tokenised prompts, a key for each, candidates a prompt, decoding -> candidates by prompt.
Draw = Callable[[Sequence[Sequence[int]], Sequence[int], int, Decoding], list[list[Candidate]]]
SCHEMA = {
    "arm": pl.String,
    "seed": pl.Int64,
    "domain": pl.String,
    "prompt_id": pl.String,
    "sample_id": pl.Int64,
    "prompt": pl.String,
    "text": pl.String,
    "token_count": pl.Int64,
    "logprob": pl.Float64,
    "entropy": pl.Float64,
    "finish_reason": pl.String,
}


@dataclass(frozen=True, slots=True)
class Questions:
    """The prompts of a domain, how they become tokens, and how the tokens of an answer become its text."""

    prompts: Sequence[Prompt]
    encode: Encode
    decode: Decode = decode_candidate


def sample_arm(spec: SampleSpec, base: Path, adapter: Path | None, dataset: Path, job: Job) -> dict[str, float]:
    """Sample replies to every post of the test split; writes, returns and raises as `sample_questions`."""
    return sample_questions(spec, social_questions(spec, dataset), base, adapter, job)


def social_questions(spec: SampleSpec, dataset: Path) -> Questions:
    """Posts of the test split as chats; `few_shot` sees solved examples first."""
    sampling = spec.sampling
    examples = few_shot_examples(dataset, sampling.few_shot, sampling.seed) if spec.arm == "few_shot" else ()
    prompts = prompts_of(dataset, "test", sampling.prompts, sampling.seed)
    return Questions(prompts, partial(encode_prompt, examples=examples))


def encode_prompt(
    tokenizer: PreTrainedTokenizerFast, prompt: Prompt, examples: Sequence[tuple[str, str]] = ()
) -> list[int]:
    """Tokens of a prompt as a user's message, after solved examples."""
    return encode_chat(tokenizer, chat(prompt.text, examples))


def sample_questions(
    spec: SampleSpec, questions: Questions, base: Path, adapter: Path | None, job: Job
) -> dict[str, float]:
    """Sample every prompt and write `samples.parquet`, one row a candidate; returns counts and rates.

    Columns: arm, seed, domain, prompt_id, sample_id, prompt (the question), text, token_count (end token included),
    logprob (of the model at temperature 1), entropy (nats a token), finish_reason ("stop" or "length").

    Raises:
        InputError: a prompt does not fit the model's context.
    """
    from tqdm import tqdm

    prompts = questions.prompts
    shards = _shards(prompts, spec.sampling.shard_prompts)
    if spec.block is not None:
        first, end = (len(shards) * place // spec.block.of for place in (spec.block.index, spec.block.index + 1))
        shards = shards[first:end]
    missing = [
        (path, part) for path, part in ((job.scratch / name, part) for name, part in shards) if not path.exists()
    ]
    total = sum(len(part) for _, part in shards) * spec.sampling.n
    done = total - spec.sampling.n * sum(len(part) for _, part in missing)
    if missing:
        sampler = Sampler(spec, questions, base, adapter)
        with tqdm(total=total, initial=done, desc=f"sample {spec.arm}", unit="text") as bar:

            def sampled(count: int) -> None:
                nonlocal done
                done += count
                bar.update(count)
                job.progress(done, total, "text")

            for path, part in missing:
                write_whole(sampler.sample(part, sampled), path)
    return _written([job.scratch / name for name, _ in shards], job)


def join_parts(parts: Sequence[Path], job: Job) -> dict[str, float]:
    """Put the sample sets of all parts of the prompts together; writes and returns what sampling at once would."""
    return _written([part / "samples.parquet" for part in parts], job)


def _written(paths: Sequence[Path], job: Job) -> dict[str, float]:
    frame = pl.concat([pl.DataFrame(schema=SCHEMA), *(pl.read_parquet(path) for path in paths)], rechunk=True)
    frame.write_parquet(job.output / "samples.parquet")
    return {
        "sampling/candidates": float(frame.height),
        "sampling/truncated_share": _mean(frame["finish_reason"] == "length"),
        "sampling/mean_tokens": _mean(frame["token_count"]),
    }


def _mean(values: pl.Series) -> float:
    """NaN for a part without a prompt."""
    return float(values.mean()) if len(values) else math.nan  # type: ignore[arg-type]  # of numbers


class Sampler:
    """A loaded arm and how it is asked."""

    def __init__(self, spec: SampleSpec, questions: Questions, base: Path, adapter: Path | None) -> None:
        self.spec = spec
        self.questions = questions
        self.tokenizer: PreTrainedTokenizerFast = load_tokenizer(base)
        self.draw, self.context = _engine(spec.sampling, base, adapter)

    def sample(self, prompts: Sequence[Prompt], progress: Any = None) -> pl.DataFrame:
        """Candidates of the prompts, in order, decoded `sampling.batch` sequences at a time."""
        sampling = self.spec.sampling
        decoding = Decoding(sampling.temperature, sampling.top_p, sampling.top_k, sampling.max_new_tokens)
        together = max(1, sampling.batch // sampling.n)
        rows: list[tuple[Any, ...]] = []
        for start in range(0, len(prompts), together):
            part = prompts[start : start + together]
            encoded = [self._encode(prompt) for prompt in part]
            keys = [prompt_key(sampling.seed, prompt.prompt_id) for prompt in part]
            groups = self.draw(encoded, keys, sampling.n, decoding)
            for prompt, group in zip(part, groups, strict=True):
                rows += self._rows(prompt, group)
            if progress is not None:
                progress(len(part) * sampling.n)
        return pl.DataFrame(rows, schema=SCHEMA, orient="row")

    def _encode(self, prompt: Prompt) -> list[int]:
        tokens = self.questions.encode(self.tokenizer, prompt)
        if len(tokens) + self.spec.sampling.max_new_tokens > self.context:
            raise InputError(
                f"prompt {prompt.prompt_id} has {len(tokens)} tokens and leaves no room for "
                f"{self.spec.sampling.max_new_tokens} more in a context of {self.context}; "
                "lower sampling.few_shot or sampling.max_new_tokens"
            )
        return tokens

    def _rows(self, prompt: Prompt, group: Sequence[Candidate]) -> Iterator[tuple[Any, ...]]:
        spec = self.spec
        for sample_id, candidate in enumerate(group):
            text = self.questions.decode(self.tokenizer, candidate)
            reason = "stop" if candidate.finished else "length"
            yield (
                *(spec.arm, spec.seed, spec.domain, prompt.prompt_id, sample_id, prompt.text, text),
                *(len(candidate.tokens), candidate.logprob, candidate.entropy, reason),
            )


def _engine(sampling: SamplingConfig, base: Path, adapter: Path | None) -> tuple[Draw, int]:
    """What draws candidates, and the tokens that prompt and candidate may have together."""
    if sampling.engine == "vllm":
        from polymlops.generation.vllm_server import VLLMServer

        server = VLLMServer(str(sampling.vllm_url), base, adapter)
        return server.sample_candidates, server.context
    model: Any = load_with_adapter(base, adapter)
    return partial(sample_candidates, model), int(model.config.max_position_embeddings)


def _shards(prompts: Sequence[Prompt], size: int) -> list[tuple[str, Sequence[Prompt]]]:
    return [
        (f"shard-{start // size:05d}.parquet", prompts[start : start + size]) for start in range(0, len(prompts), size)
    ]


def write_whole(frame: pl.DataFrame, path: Path) -> None:
    """Write a shard so that it is there whole or not at all."""
    temporary = path.with_suffix(".part")
    frame.write_parquet(temporary)
    temporary.replace(path)

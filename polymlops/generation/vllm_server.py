"""Candidates from a running `vllm serve`, in the place of `sample_candidates`: for large models on CUDA.

vLLM lives in an environment of its own, because it pins other versions of torch and transformers than training needs
(0.33: transformers below 5.21). It is spoken to over its completions API: prompts go as our tokens, and tokens, their
log-probabilities and why a text ended come back. Its prefix cache, on by default, computes a prompt once.

What is as with transformers: prompts, end tokens, decoding, `logprob` (raw, at temperature 1, which is vLLM's default),
and one seed for every prompt and candidate, whatever the others are. What cannot be: the draws themselves, which is why
the engine is in the key of a sample set; bits, as vLLM's kernels depend on what is batched together; `entropy`, which
is NaN. The base must be the folder that the server was started with, on a file system that both see.

Tested against a server of the documented shapes (vLLM 0.33), never against vLLM on a GPU.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from polymlops.errors import InputError, StageError
from polymlops.generation.decoding import Candidate, Decoding, end_tokens
from polymlops.models.loading import check_base, weights_digest
from polymlops.models.references import model_folder, read_reference

TIMEOUT_S = 600.0
AT_ONCE = 128  # requests under way; the server batches them
OK = 200


class VLLMServer:
    """A base model, or one with an adapter, behind a server's address."""

    def __init__(self, url: str, base: Path, adapter: Path | None) -> None:
        """Find the base on the server, and load the adapter there where there is one.

        Raises:
            InputError: the server has another model, takes no adapters, or the base has 4-bit weights.
            StageError: nobody answers.
        """
        from transformers import AutoConfig, GenerationConfig

        self.client = httpx.Client(
            base_url=url, timeout=TIMEOUT_S, limits=httpx.Limits(max_connections=AT_ONCE), trust_env=False
        )
        reference = read_reference(base)
        if reference is not None and reference.quantization != "none":
            raise InputError("engine vllm has no nf4 weights: set base_model.quantization=none, or engine transformers")
        cards = self._call("GET", "/v1/models")["data"]
        served = next((card for card in cards if not card.get("parent")), None)
        self.model = _of_base(served, model_folder(base), url)
        self.context = min(
            int(AutoConfig.from_pretrained(base).max_position_embeddings),
            int((served or {}).get("max_model_len") or 2**31),
        )
        self.ends = end_tokens(_Ending(GenerationConfig.from_pretrained(base)))
        if adapter is not None:
            check_base(base, adapter)
            self.model = self._load_adapter(adapter, {card["id"] for card in cards})

    def sample_candidates(
        self, prompts: Sequence[Sequence[int]], keys: Sequence[int], n: int, decoding: Decoding
    ) -> list[list[Candidate]]:
        """N candidates for each tokenised prompt, in order; raises StageError where one does not come whole."""
        requests = [
            self._request(prompt, candidate_seed(key, index), decoding)
            for prompt, key in zip(prompts, keys, strict=True)
            for index in range(n)
        ]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            rows = list(pool.map(self._draw, requests))
        return [rows[start : start + n] for start in range(0, len(rows), n)]

    def _request(self, prompt: Sequence[int], seed: int, decoding: Decoding) -> dict[str, Any]:
        """Every setting is named: what is not would be the model's own default."""
        return {
            "model": self.model,
            "prompt": list(prompt),
            "seed": seed,
            "max_tokens": decoding.max_new_tokens,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "top_k": decoding.top_k,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "stop_token_ids": self.ends,
            "logprobs": 0,
            "return_token_ids": True,
        }

    def _draw(self, request: Mapping[str, Any]) -> Candidate:
        return candidate_of(self._call("POST", "/v1/completions", request)["choices"][0], self.ends)

    def _load_adapter(self, adapter: Path, known: set[str]) -> str:
        name = f"polymlops-{weights_digest(adapter)[:16]}"
        if name not in known:
            self._call("POST", "/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(adapter.resolve())})
        return name

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        where = f"{self.client.base_url}{path.lstrip('/')}"
        try:
            answer = self.client.request(method, path, json=body)
        except httpx.TransportError as error:
            remedy = "start `vllm serve`, or set sampling.engine=transformers"
            raise StageError(f"{where}: no vLLM answers ({error}): {remedy}") from error
        if answer.status_code == OK:
            return answer.json() if "json" in answer.headers.get("content-type", "") else {}
        if answer.is_server_error:
            raise StageError(f"{where}: {answer.status_code} {answer.text[:200]}: see the server's log, then run again")
        remedy = "see the message"
        if "lora" in path:
            remedy = "start it with --enable-lora --max-lora-rank R and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"
        raise InputError(f"{where}: {answer.status_code} {answer.text[:200]}: {remedy}")


def candidate_seed(key: int, index: int) -> int:
    """The seed of a prompt's candidate, below 2^63; it does not depend on how many there are."""
    return int.from_bytes(hashlib.sha256(f"{key}\x1f{index}".encode()).digest()[:8], "big") >> 1


def candidate_of(choice: Mapping[str, Any], ends: Sequence[int]) -> Candidate:
    """A choice of a completion as a candidate.

    Raises: StageError where tokens or log-probabilities are missing, or the text ended for another reason than its end
    token or the limit.
    """
    tokens, reason = choice.get("token_ids"), choice.get("finish_reason")
    logprobs = (choice.get("logprobs") or {}).get("token_logprobs")
    if not tokens or logprobs is None or len(logprobs) != len(tokens) or None in logprobs:
        raise StageError("vLLM gave no tokens, or no log-probability for each: 0.33 does, with return_token_ids")
    if reason not in ("stop", "length") or (reason == "stop" and tokens[-1] not in ends):
        raise StageError(
            f"vLLM ended a text with {reason!r} (stop_reason {choice.get('stop_reason')!r}) on token {tokens[-1]}, "
            f"which is none of the model's ends {list(ends)}: serve the folder whose tokenizer the run uses"
        )
    return Candidate(tuple(tokens), min(0.0, float(math.fsum(logprobs))), math.nan, reason == "stop")


class _Ending:
    """What `end_tokens` reads of a model."""

    def __init__(self, generation_config: Any) -> None:
        self.generation_config = generation_config


def _of_base(card: Mapping[str, Any] | None, folder: Path, url: str) -> str:
    """The name under which the server has the base. Raises InputError where it has another."""
    root = str((card or {}).get("root") or "")
    if card is None or Path(root).resolve() != folder.resolve():
        raise InputError(f"{url} serves {root or 'no model'}, not {folder}: start `vllm serve {folder}`")
    return str(card["id"])

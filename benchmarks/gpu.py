"""Training and sampling at the shape of Qwen3-0.6B on a GPU, beside the same work by TRL and transformers as they come.

    python benchmarks/gpu.py [--rounds 10] [--write]     # without CUDA: says so, exit code 2
    python benchmarks/gpu.py --tiny                      # a tiny shape on the CPU: proves that the script works

Weights are random, so that nothing is downloaded; times do not depend on them, but for texts, which practically never
end by themselves. Contestants of one kind of work take steps in turns: the same base in bfloat16, the same LoRA
(r = 16, all linear layers), posts, batch, number of completions and reward. The peers are `SFTTrainer` and
`GRPOTrainer` with nothing set that the work does not ask for, and `generate`. Printed are medians: milliseconds a step,
tokens a second (of the batch; drawn ones in GRPO and sampling), time over ours, memory above what lay there before the
step, and useful operations (gpu_work.py) as a share of what one large bfloat16 matrix product reaches in the same run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gpu_races import OURS, Bench, grpo_race, new_job, polychromic_race, sampling_race, sft_race
from gpu_work import QWEN3_06B, TINY, Shape, matmul_roofline
from turns import Measured, Step

from polymlops.config.base_models import FolderModelConfig
from polymlops.config.code_slices import ZeroAdapterSpec
from polymlops.config.profiles import load_config

HEADER = (
    "| work | by | ms a step | tokens a second | time over ours | memory, GiB | of the roofline |",
    "|---|---|---:|---:|---:|---:|---:|",
)
RACES = {"SFT": sft_race, "polychromic SFT": polychromic_race, "GRPO": grpo_race, "sampling": sampling_race}


def main() -> int:
    """Measure and print."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10, help="measured steps of each contestant")
    parser.add_argument("--tiny", action="store_true", help="a tiny shape, on the CPU too; claims nothing")
    parser.add_argument("--write", action="store_true", help="put the table into RESULTS.md")
    arguments = parser.parse_args()
    if not (torch.cuda.is_available() or arguments.tiny):
        print("there is no CUDA device here; --tiny runs the same code on the CPU", file=sys.stderr)
        return 2
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    with tempfile.TemporaryDirectory() as folder:
        lines = [*_lines(_bench(arguments.tiny, Path(folder)), arguments)]
    print("\n".join(lines))
    if arguments.write:
        from side_by_side import write_section

        write_section("gpu", ["## GPU", "", *lines])
    return 0


def _lines(bench: Bench, arguments: argparse.Namespace) -> Iterator[str]:
    import torch

    roofline = None if arguments.tiny else matmul_roofline()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    yield f"{device}, torch {torch.__version__}, shape {bench.shape}; {arguments.rounds} rounds."
    if roofline:
        yield f"One bfloat16 matrix product reaches {roofline / 1e12:,.0f} TFLOP/s here."
    yield ""
    yield from HEADER
    for work, race in RACES.items():
        contestants = {name: Step(step) for name, step in race(bench, arguments.rounds + 1).items()}
        for turn in range(arguments.rounds + 1):
            for step in contestants.values():
                step.turn(counts=turn > 0)
        ours = contestants[OURS].measured
        for name, step in contestants.items():
            yield _row(work, name, step.measured, ours, roofline)


def _row(work: str, name: str, found: Measured, ours: Measured, roofline: float | None) -> str:
    seconds = statistics.median(found.seconds)
    ratio = statistics.median(a / b for a, b in zip(found.seconds, ours.seconds, strict=True))
    tokens = statistics.median(tokens / s for tokens, s in zip(found.tokens, found.seconds, strict=True))
    rate = statistics.median(work / s for work, s in zip(found.operations, found.seconds, strict=True))
    memory = f"{max(found.memory) / 2**30:.2f}" if any(found.memory) else "not measured"
    share = f"{rate / roofline:.1%}" if roofline else "no claim"
    over = "" if found is ours else f"{ratio:.2f}"
    return f"| {work} | {name} | {1e3 * seconds:,.1f} | {tokens:,.0f} | {over} | {memory} | {share} |"


def _bench(tiny: bool, folder: Path) -> Bench:
    from polymlops.data.preparation import prepare_dataset
    from polymlops.training.given_base import given_model_spec, take_base_model
    from polymlops.training.zero_adapter import make_zero_adapter

    shape = TINY if tiny else QWEN3_06B
    source = FolderModelConfig(path=_save_model(shape, folder / "model"), dtype="float32" if tiny else "bfloat16")
    size = {"grpo": {"samples": 4, "prompts": 2, "max_new_tokens": 8}, "batch": 4, "n": 4} if tiny else {}
    config = load_config("qwen3-0.6b", [f"base_model={source.model_dump(mode='json')}", *_sizes(**size)])
    dataset, base, start = (new_job(folder / name) for name in ("dataset", "base", "start"))
    prepare_dataset(config.data, dataset)
    take_base_model(given_model_spec(source), dataset.output, base)
    make_zero_adapter(ZeroAdapterSpec(seed=0, lora=config.lora), base.output, start)
    return Bench(shape, config, base.output, dataset.output, start.output, folder)


def _sizes(grpo: dict[str, int] | None = None, batch: int = 16, n: int = 16) -> list[str]:
    """Settings of the work: profile qwen3-0.6b, whole batches at once, a data set of the world that suffices."""
    grpo = {"samples": 8, "prompts": 8, "max_new_tokens": 64} | (grpo or {})
    whole = grpo | {"micro_batch": grpo["samples"] * grpo["prompts"]}
    return [
        *("data.source={posts: 400, replies_per_post: 4}", "evaluation.track_dynamics=false", "polychromic.every=1"),
        *(f"sft.batch={batch}", f"sft.micro_batch={batch}", "grpo.alarms.gold_patience=0"),
        *(f"grpo.{key}={value}" for key, value in whole.items()),
        *(f"sampling.n={n}", f"sampling.max_new_tokens={grpo['max_new_tokens']}", "evaluation.ks=[1]"),
    ]


def _save_model(shape: Shape, folder: Path) -> Path:
    """Random weights of a shape, and a small tokenizer with ids within it."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from polymlops.data.world_documents import pretraining_documents
    from polymlops.models.tokenizer import train_tokenizer

    documents = pretraining_documents(0, 600, frozenset())
    tokenizer = train_tokenizer((text for document in documents for _, text in document.messages), 600)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_value_heads,
        head_dim=shape.head_dim,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    Qwen3ForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    sys.exit(main())

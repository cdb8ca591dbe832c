"""Our metrics beside their peers: `pip install -e '.[bench]' && python benchmarks/metrics.py`.

The same text for all, one process, one core. The tables go to RESULTS.md.
"""

from __future__ import annotations

import itertools
import logging
import random
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from sample_text import WORDS, replies
from side_by_side import HEADER, Peer, Race, machine, one_core, rows_of, seconds, write_section

from polymlops.metrics.lexical import distinct_n, pairwise_bleu, self_bleu, self_bleu_scores
from polymlops.metrics.pass_at_k import pass_at_k
from polymlops.metrics.rouge import pairwise_rouge_l, rouge_l, rouge_n
from polymlops.metrics.semantic import mean_pairwise_distance, vendi_score
from polymlops.metrics.statistics import bootstrap_pass_at_k, bootstrap_pass_at_k_draws

PROMPTS, REPLIES = 100, 32
ROUGE_KINDS = ["rouge1", "rouge2", "rougeL"]
RESAMPLES, BOOTSTRAP_KS = 10_000, np.arange(1, 101)


def main() -> None:
    """Run all races and write the tables."""
    print(*HEADER, sep="\n")
    with one_core():
        rows = [row for race in races() for row in rows_of(race)]
        growth = list(growth_rows())
    print(*growth, sep="\n")
    write_section("metrics", ["## Metrics", "", f"{machine()}.", "", *HEADER, *rows, "", *growth])


def races() -> Iterator[Race]:
    """All comparisons."""
    prompts = replies(PROMPTS, REPLIES)
    yield self_bleu_race(prompts)
    yield pairwise_rouge_race(prompts[:10])
    yield rouge_race([text for texts in prompts[:32] for text in texts])
    for candidates, dimensions in ((8, 384), (32, 384), (128, 384), (500, 384), (1000, 64)):
        yield vendi_race(candidates, dimensions)
    yield bootstrap_race()


def self_bleu_race(prompts: list[list[str]]) -> Race:
    """Leave-one-out BLEU-4 with method1 smoothing of every reply."""

    def nltk() -> Callable[[], Any]:
        from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

        smooth = SmoothingFunction().method1

        def scores(texts: list[str]) -> list[float]:
            rows = [text.split() for text in texts]
            others = [rows[:i] + rows[i + 1 :] for i in range(len(rows))]
            return [sentence_bleu(o, row, smoothing_function=smooth) for o, row in zip(others, rows, strict=True)]

        return lambda: [scores(texts) for texts in prompts]

    def sacrebleu() -> Callable[[], Any]:
        from sacrebleu.metrics.bleu import BLEU

        logging.getLogger("sacrebleu").setLevel(logging.ERROR)  # it advises effective_order at every call
        peer = BLEU(tokenize="none", smooth_method="floor", effective_order=False)

        def scores(texts: list[str]) -> list[float]:
            others = [texts[:i] + texts[i + 1 :] for i in range(len(texts))]
            return [peer.sentence_score(text, o).score / 100 for o, text in zip(others, texts, strict=True)]

        return lambda: [scores(texts) for texts in prompts]

    def fast_bleu() -> Callable[[], Any]:
        from fast_bleu import SelfBLEU

        weights = {"4": (0.25,) * 4}
        return lambda: [SelfBLEU([t.split() for t in texts], weights).get_score()["4"] for texts in prompts]

    peers = [Peer("NLTK", nltk, 300), Peer("fast-bleu", fast_bleu, 40), Peer("sacrebleu", sacrebleu)]
    task = f"self-BLEU, {PROMPTS} x {REPLIES} x {WORDS} words"
    return Race(task, lambda: [self_bleu_scores(texts) for texts in prompts], peers)


def pairwise_rouge_race(prompts: list[list[str]]) -> Race:
    """Mean ROUGE-L F over all pairs of a prompt's replies."""

    def rouge_score() -> Callable[[], Any]:
        from rouge_score.rouge_scorer import RougeScorer

        peer = RougeScorer(["rougeL"])

        def mean(texts: list[str]) -> float:
            pairs = itertools.combinations(texts, 2)
            return statistics.fmean(peer.score(a, b)["rougeL"].fmeasure for a, b in pairs)

        return lambda: [mean(texts) for texts in prompts]

    task = f"pairwise ROUGE-L, {len(prompts)} x {REPLIES} replies"
    return Race(task, lambda: [pairwise_rouge_l(t) for t in prompts], [Peer("rouge-score", rouge_score, 250)])


def rouge_race(texts: list[str]) -> Race:
    """ROUGE-1, -2 and -L F with stemming of each reply against the next one."""
    references = [*texts[1:], texts[0]]

    def ours() -> Any:
        scores = [rouge_n(texts, references, n, stem=True) for n in (1, 2)]
        return [score.fmeasure_M for score in (*scores, rouge_l(texts, references, stem=True))]

    def rouge_score() -> Callable[[], Any]:
        from rouge_score.rouge_scorer import RougeScorer

        peer = RougeScorer(ROUGE_KINDS, use_stemmer=True)

        def call() -> Any:
            scores = [peer.score(reference, text) for text, reference in zip(texts, references, strict=True)]
            return [[score[kind].fmeasure for score in scores] for kind in ROUGE_KINDS]

        return call

    def torchmetrics() -> Callable[[], Any]:
        from torchmetrics.functional.text.rouge import rouge_score

        return lambda: rouge_score(texts, references, use_stemmer=True, rouge_keys=tuple(ROUGE_KINDS))

    def of_means(ours: Any, theirs: Any) -> float:
        return max(abs(np.mean(o) - float(theirs[f"{k}_fmeasure"])) for o, k in zip(ours, ROUGE_KINDS, strict=True))

    # torchmetrics returns means over pairs, in single precision.
    peers = [
        Peer("rouge-score", rouge_score, 15),
        Peer("torchmetrics", torchmetrics, difference=of_means, tolerance=1e-5),
    ]
    return Race(f"ROUGE-1/2/L with stems, {len(texts):,} pairs", ours, peers, rounds=3)


def vendi_race(candidates: int, dimensions: int) -> Race:
    """Vendi score of one prompt's embeddings."""
    embeddings_KD = np.random.default_rng(0).normal(size=(candidates, dimensions))

    def peer(name: str) -> Callable[[], Callable[[], Any]]:
        def build() -> Callable[[], Any]:
            from vendi_score import vendi

            return lambda: [getattr(vendi, name)(embeddings_KD)]

        return build

    target = 4 if (candidates, dimensions) == (REPLIES, 384) else None
    peers = [Peer(f"vendi-score {name}", peer(name), target) for name in ("score_X", "score_dual")]
    return Race(f"Vendi, {candidates} x {dimensions}", lambda: [vendi_score(embeddings_KD)], peers)


def bootstrap_race() -> Race:
    """Intervals of a pass@k curve for k = 1 .. 100, 164 problems x 200 samples, 10,000 resamples."""
    rng = np.random.default_rng(0)
    c_P = rng.binomial(200, rng.beta(0.5, 1.0, 164))

    def scipy() -> Callable[[], Any]:
        from scipy.stats import bootstrap

        values_PM = pass_at_k(200, c_P, BOOTSTRAP_KS)

        # Batches of 50 keep its gathered values in cache: more than twice as fast as its default.
        def call() -> Any:
            result = bootstrap((values_PM,), np.mean, n_resamples=RESAMPLES, method="percentile", batch=50, rng=rng)
            return result.confidence_interval

        return call

    def lm_eval() -> Callable[[], Any]:
        # The loop of lm-evaluation-harness (api/metrics.py, bootstrap_stderr) in one process: its generator, its
        # chunks of 1,000 and its mean, once for each metric, as it reports a pass@k.
        columns = [column.tolist() for column in pass_at_k(200, c_P, BOOTSTRAP_KS).T]

        def stderr(values: list[float]) -> float:
            means = []
            for chunk in range(RESAMPLES // 1_000):
                generator = random.Random(chunk)
                for _ in range(1_000):
                    drawn = generator.choices(values, k=len(values))
                    means.append(sum(drawn) / len(drawn))
            centre = sum(means) / len(means)
            return (sum((mean - centre) ** 2 for mean in means) / (len(means) - 1)) ** 0.5

        return lambda: [stderr(values) for values in columns]

    def ends(ours: Any, theirs: Any) -> float:
        low, high = (np.array([getattr(estimate, end) for estimate in ours.values()]) for end in ("low", "high"))
        return float(max(np.abs(low - theirs.low).max(), np.abs(high - theirs.high).max()))

    def errors(_: Any, theirs: Any) -> float:
        draws = bootstrap_pass_at_k_draws(200, c_P, BOOTSTRAP_KS, rng, RESAMPLES)
        return float(np.abs(draws.means_RM.std(axis=0, ddof=1) - theirs).max())

    # Random draws differ: within a few Monte Carlo errors of a quantile and of a standard deviation.
    peers = [
        Peer("scipy.stats.bootstrap", scipy, 3, ends, 0.005),
        Peer("lm-eval's loop", lm_eval, 100, errors, 0.001),
    ]
    ours = lambda: bootstrap_pass_at_k(200, c_P, BOOTSTRAP_KS, rng, RESAMPLES)  # noqa: E731  # short, as the others are
    return Race("bootstrap of pass@1..100, 164 x 200, 10,000 resamples", ours, peers, rounds=3)


def growth_rows() -> Iterator[str]:
    """Time for one candidate among n of a prompt: flat where time is linear in n."""
    metrics: dict[str, Callable[[list[str]], Any]] = {
        "self-BLEU": self_bleu,
        "distinct-2": lambda texts: distinct_n(texts, 2),
        "pairwise BLEU (quadratic)": pairwise_bleu,
        "pairwise ROUGE-L (quadratic)": pairwise_rouge_l,
    }
    yield "Microseconds a candidate, for n candidates of one prompt:"
    yield ""
    yield "| n | " + " | ".join([*metrics, "semantic distance, 384 dimensions"]) + " |"
    yield "|---:|" + "---:|" * (len(metrics) + 1)
    for n in (8, 16, 32, 64):
        prompts = replies(20, n)
        embeddings = np.random.default_rng(0).normal(size=(20, n, 384))
        calls = [partial(over, metric, prompts) for metric in metrics.values()]
        calls.append(partial(over, mean_pairwise_distance, embeddings))
        for call in calls:
            call()
        medians = [statistics.median(seconds(call) for _ in range(5)) for call in calls]
        yield f"| {n} | " + " | ".join(f"{1e6 * median / (20 * n):.2f}" for median in medians) + " |"


def over(metric: Callable[[Any], float], prompts: Any) -> list[float]:
    """The metric of each prompt."""
    return [metric(candidates) for candidates in prompts]


if __name__ == "__main__":
    main()

"""Stored scores and sample sets of any domains as arms with every selector: the input of the novel metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from polymlops.config.novel import NovelSpec
from polymlops.errors import ArtifactError, InputError, MetricError
from polymlops.evaluation.candidate_diversity import recorded_diversity
from polymlops.evaluation.candidate_groups import CandidateGroup
from polymlops.evaluation.candidate_scores import ArmValues, default_ks, largest_n, outcomes_by_prompt, pool_seeds
from polymlops.evaluation.selectors import UNLIKE, direct_usq, usq_columns, with_rankings
from polymlops.metrics.arrays import Floats, Ints, Rows
from polymlops.report.arm_differences import check_same_prompts, counted
from polymlops.report.scores import NOT_DIVERSITY, SELECTOR

KEY = ["prompt_id", "sample_id"]
NEEDED = ("arm", "seed", "domain", *KEY, "passed")
EVERY_K = 32  # curves are drawn at every k up to here


@dataclass(frozen=True, slots=True)
class StoredScores:
    """The scored candidates of one arm, seed and domain, ordered by prompt; `unjudged` candidates were left out.

    `rows` has the columns prompt and text where a sample set was given. `diversity` has one row a prompt.
    """

    label: str
    arm: str
    seed: int
    domain: str
    rows: pl.DataFrame
    diversity: pl.DataFrame
    unjudged: int


@dataclass(frozen=True, slots=True)
class DomainArms:
    """The arms of one domain on the same prompts. `ks` are the table's, `curve_ks` those of the figures.

    `notes` say what is missing, and how exact the selectors are that go through subsets.
    """

    domain: str
    arms: tuple[ArmValues, ...]
    ks: tuple[int, ...]
    curve_ks: tuple[int, ...]
    notes: tuple[str, ...]


def read_domains(spec: NovelSpec, scores: Mapping[str, Path], samples: Mapping[str, Path]) -> list[DomainArms]:
    """Read every label ("arm/seed", or any prefix and that) and put its arms beside each other, by domain.

    Raises:
        ArtifactError: a file or column is missing, or scores and samples are not of the same candidates.
        InputError: arms were sampled in different ways, or answer different prompts; they are named.
        MetricError: there are no scores, or no arm of the spec among them.
    """
    _check_decodings(spec, scores)
    stored = [
        part for label in sorted(scores) for part in _read_label(label, scores[label], samples.get(label), spec.arms)
    ]
    if not stored:
        raise MetricError(f"there are no scores of {', '.join(spec.arms)}: score their samples first")
    domains = sorted({part.domain for part in stored})
    return [_domain(spec, domain, [part for part in stored if part.domain == domain]) for domain in domains]


def _check_decodings(spec: NovelSpec, labels: Mapping[str, Path]) -> None:
    known = [label for label in sorted(labels) if label in spec.decodings]
    for label in known[1:]:
        if spec.decodings[label] != spec.decodings[known[0]]:
            raise InputError(
                f"{label} and {known[0]} were sampled differently, {spec.decodings[label]} and "
                f"{spec.decodings[known[0]]}: their differences would be those of decoding; sample both alike"
            )


def _read_label(label: str, folder: Path, samples: Path | None, arms: Sequence[str]) -> list[StoredScores]:
    frame = _read(folder / "scores.parquet", label)
    lacking = [name for name in NEEDED if name not in frame.columns]
    if lacking:
        raise ArtifactError(f"the scores of {label} lack {', '.join(lacking)}: score it again")
    found = {f"{arm}/{seed}" for arm, seed in frame.select("arm", "seed").unique().iter_rows()}
    if len(found) != 1 or not f"/{label}".endswith(f"/{next(iter(found))}"):
        raise ArtifactError(f"the scores under {label} are of {', '.join(sorted(found)) or 'nothing'}: score it again")
    arm, _, seed = next(iter(found)).rpartition("/")
    if arm not in arms:
        return []
    judged = frame.drop_nulls(
        [name for name in ("passed", "quality") if name in frame.columns and _partly(frame[name])]
    )
    if samples is not None:
        judged = _with_texts(label, judged, samples)
    diversity = _read(folder / "diversity.parquet", label)
    return [
        StoredScores(
            label,
            *(arm, int(seed), domain),
            judged.filter(pl.col("domain") == domain).sort(KEY),
            diversity.filter(pl.col("domain") == domain) if "domain" in diversity.columns else diversity,
            int((frame["domain"] == domain).sum() - (judged["domain"] == domain).sum()),
        )
        for domain in judged["domain"].unique().sort().to_list()
    ]


def _partly(column: pl.Series) -> bool:
    """Some values are missing, but not all: a column of nothing but nulls says that nobody judged."""
    return 0 < column.null_count() < len(column)


def _with_texts(label: str, scores: pl.DataFrame, folder: Path) -> pl.DataFrame:
    texts = _read(folder / "samples.parquet", label).select(*KEY, "domain", "prompt", "text")
    joined = scores.join(texts, on=[*KEY, "domain"], how="left", validate="1:1")
    without = joined.filter(pl.col("text").is_null())
    if len(without):
        first = without.row(0, named=True)
        raise ArtifactError(
            f"{label}: {counted(len(without), 'scored candidate')} not in the sample set, the first "
            f"{first['prompt_id']} {first['sample_id']}: score these samples again"
        )
    return joined


def _domain(spec: NovelSpec, domain: str, stored: Sequence[StoredScores]) -> DomainArms:
    ordered = sorted(stored, key=lambda part: (spec.arms.index(part.arm), part.seed))
    groups = [as_group(part) for part in ordered]
    largest = largest_n(groups)
    ks = tuple(sorted({1, *spec.ks}))
    curve_ks = tuple(range(1, largest + 1)) if largest <= EVERY_K else default_ks(largest)
    every = tuple(sorted({*ks, *curve_ks}))
    notes = [f"{arm} has no scores in {domain}: it is in no table" for arm in _absent(spec, ordered)]
    notes += [_unjudged(part) for part in ordered if part.unjudged]
    scored, errors, unranked = [], [0.0], dict[str, list[str]]()
    for part, group in zip(ordered, groups, strict=True):
        ranked = with_rankings(group, _posts(part), spec.selectors)
        direct = direct_usq(ranked, every, spec.selectors)
        errors += [item.error for item in direct]
        unranked[part.arm] = [item.selector for item in direct]
        columns = outcomes_by_prompt(ranked, every) | dict(usq_columns(direct, every))
        scored.append((ranked, columns, _diversity(part, ranked)))
    if max(errors) > 0:
        notes.append(f"{UNLIKE}: subsets were drawn, not enumerated; that adds at most {max(errors):.2g} (one s.e.)")
    pooled = [pool_seeds([item for item in scored if item[0].arm == arm]) for arm in _present(spec, ordered)]
    arms = tuple(replace(arm, selectors=(*arm.selectors, *unranked[arm.arm])) for arm in pooled)
    check_same_prompts(arms)
    short = [k for k in ks if k > largest]
    notes += [f"@{k} is undefined: {domain} has {largest} candidates a prompt at most; sample more" for k in short]
    return DomainArms(domain, arms, ks, curve_ks, tuple(notes))


def as_group(stored: StoredScores) -> CandidateGroup:
    """Stored scores as the arrays that metrics take; a selector with a missing value is left out."""
    rows = stored.rows
    n_P = rows.group_by("prompt_id", maintain_order=True).len()["len"].to_numpy().astype(np.int64)
    passed, quality = (_numbers(rows, name) for name in ("passed", "quality"))
    ranked = {name: _numbers(rows, name) for name in rows.columns if name.startswith(SELECTOR)}
    judged = passed if quality is None else quality
    return CandidateGroup(
        arm=stored.arm,
        seed=stored.seed,
        prompts=tuple(rows["prompt_id"].unique(maintain_order=True).cast(pl.String)),
        n_P=n_P,
        passes_P=None if passed is None else np.add.reduceat(passed, np.cumsum(n_P) - n_P).astype(np.int64),
        quality_PK=None if judged is None else _by_prompt(judged, n_P),
        judged_by="" if judged is None else "passed" if quality is None else "quality",
        selectors_PK={
            name.removeprefix(SELECTOR): _by_prompt(values, n_P)
            for name, values in ranked.items()
            if values is not None
        },
        texts=rows["text"] if "text" in rows.columns else None,
    )


def _numbers(rows: pl.DataFrame, name: str) -> Floats | None:
    if name not in rows.columns or rows[name].null_count():
        return None
    return rows[name].cast(pl.Float64).to_numpy()


def _by_prompt(values: Floats, n_P: Ints) -> Rows:
    return values.reshape(len(n_P), -1) if (n_P == n_P[0]).all() else np.split(values, np.cumsum(n_P)[:-1])


def _posts(stored: StoredScores) -> list[str] | None:
    if "prompt" not in stored.rows.columns:
        return None
    return stored.rows.group_by("prompt_id", maintain_order=True).agg(pl.col("prompt").first())["prompt"].to_list()


def _diversity(stored: StoredScores, group: CandidateGroup) -> dict[str, Floats]:
    kept = [name for name in stored.diversity.columns if name not in NOT_DIVERSITY]
    named = stored.diversity.select("prompt_id", *kept).with_columns(
        pl.lit(stored.arm).alias("arm"), pl.lit(stored.seed).alias("seed")
    )
    return recorded_diversity(group, named)


def _present(spec: NovelSpec, stored: Sequence[StoredScores]) -> list[str]:
    given = {part.arm for part in stored}
    return [arm for arm in spec.arms if arm in given]


def _absent(spec: NovelSpec, stored: Sequence[StoredScores]) -> list[str]:
    given = {part.arm for part in stored}
    return [arm for arm in spec.arms if arm not in given]


def _unjudged(part: StoredScores) -> str:
    return f"{part.label}: {counted(part.unjudged, 'candidate')} of {part.domain} without a verdict left out"


def _read(path: Path, label: str) -> pl.DataFrame:
    if not path.is_file():
        raise ArtifactError(f"{label} lacks {path.name}: make it again")
    return pl.read_parquet(path)

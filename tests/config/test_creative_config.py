"""Prompt sources are named by kind; what is not pinned, or nobody could judge, is refused."""

import pytest
from pydantic import TypeAdapter, ValidationError

from polymlops.config.creative import (
    CreativeConfig,
    FilePromptsConfig,
    NoveltyBenchPromptsConfig,
    PromptSourceConfig,
    WorldPromptsConfig,
    WritingPromptsConfig,
    creative_prompts_spec,
    creative_score_spec,
)
from polymlops.config.hashing import content_hash
from polymlops.config.judge import LocalJudgeConfig

SOURCE = TypeAdapter(PromptSourceConfig)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"kind": "world"}, WorldPromptsConfig()),
        ({"kind": "noveltybench", "path": "c.jsonl"}, NoveltyBenchPromptsConfig(path="c.jsonl")),
        ({"kind": "writing_prompts", "path": "wp"}, WritingPromptsConfig(path="wp")),
        (
            {"kind": "writing_prompts", "hub": "a/b", "revision": COMMIT, "field": "text"},
            WritingPromptsConfig(hub="a/b", revision=COMMIT, field="text"),
        ),
        ({"kind": "file", "path": "x.jsonl"}, FilePromptsConfig(path="x.jsonl")),
    ],
)
def test_a_source_is_named_by_its_kind(given, expected):
    assert SOURCE.validate_python(given) == expected
    assert SOURCE.validate_json(expected.model_dump_json()) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "writing_prompts"}, "either path or hub"),
        ({"kind": "writing_prompts", "hub": "a/b"}, "name the commit"),
        ({"kind": "writing_prompts", "hub": "a/b", "revision": "main"}, "revision"),
        ({"kind": "writing_prompts", "path": "x", "revision": COMMIT}, "go together"),
        ({"kind": "file"}, "path"),
        ({"kind": "poems"}, "kind"),
        ({"kind": "world", "seed": 3}, "seed"),
    ],
)
def test_what_is_not_pinned_or_not_known_is_refused(given, message):
    with pytest.raises(ValidationError, match=message):
        SOURCE.validate_python(given)


def test_the_truth_judges_only_the_world():
    assert CreativeConfig().judge.backend.kind == "truth"
    source = FilePromptsConfig(path="x.jsonl")
    with pytest.raises(ValidationError, match="give a judge of kind endpoint or local, or judge: null"):
        CreativeConfig(source=source)
    assert CreativeConfig(source=source, judge=None).judge is None
    assert CreativeConfig(source=source, judge={"backend": LocalJudgeConfig(path="m")}).judge.backend.kind == "local"


def test_agreement_needs_two_judges():
    with pytest.raises(ValidationError, match="no first judge to agree with"):
        CreativeConfig(judge=None, second_judge={})
    source = FilePromptsConfig(path="x.jsonl")
    with pytest.raises(ValidationError, match="give a judge of kind endpoint or local"):
        CreativeConfig(source=source, judge={"backend": LocalJudgeConfig(path="m")}, second_judge={})


def test_address_pace_and_price_of_a_judge_reach_no_slice(tmp_path):
    (tmp_path / "ratings.csv").write_text("prompt_id,sample_id,coherence\n")
    backend = {"kind": "endpoint", "base_url": "http://127.0.0.1:8000/v1", "model": "m"}
    moved = {"base_url": "http://127.0.0.1:9000/v1", "concurrency": 2, "budget_calls": 5, "key_env": "OTHER_KEY"}
    first = CreativeConfig(judge={"backend": backend}, ratings=tmp_path / "ratings.csv")
    spec = creative_score_spec(first, "baseline", 1)
    assert creative_score_spec(CreativeConfig(judge={"backend": backend | moved}), "baseline", 1).judge == spec.judge
    hotter = CreativeConfig(judge={"backend": backend | {"temperature": 1.0}})
    assert creative_score_spec(hotter, "baseline", 1).judge != spec.judge
    before = content_hash(spec)
    (tmp_path / "ratings.csv").write_text("prompt_id,sample_id,coherence\na,0,3\n")
    assert content_hash(creative_score_spec(first, "baseline", 1)) != before


def test_k_stays_within_n():
    with pytest.raises(ValidationError, match=r"10 is above creative.sampling.n = 4"):
        CreativeConfig(sampling={"n": 4})
    with pytest.raises(ValidationError, match="names one twice"):
        CreativeConfig(scoring={"ks": [1, 1]})


def test_an_unrelated_change_reaches_no_slice():
    default, other = CreativeConfig(), CreativeConfig(sampling={"temperature": 1.2}, scoring={"patience": 0.5})
    assert creative_prompts_spec(default) == creative_prompts_spec(other)
    assert creative_score_spec(default, "baseline", 1) != creative_score_spec(other, "baseline", 1)
    resampled = CreativeConfig(sampling={"temperature": 1.2})
    assert creative_score_spec(default, "baseline", 1) == creative_score_spec(resampled, "baseline", 1)

"""What phase 4 sees of the config, domain by domain."""

import pytest

from polymlops.config.novel_slices import domain_arms, novel_spec
from polymlops.config.profiles import load_config


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("novel.threshold=0.02", {"social", "code"}),
        ("novel.selectors.temperature=0.5", {"social", "code"}),
        ("evaluation.resamples=200", {"social", "code"}),
        ("evaluation.ks=[1, 2]", {"social"}),
        ("sampling.temperature=0.9", {"social"}),
        ("code.scoring.ks=[1, 2]", {"code"}),
        ("code.sampling.top_p=0.5", {"code"}),
        ("sft.epochs=3", set()),
        ("analysis.theory.resamples=90", set()),
        ("name=other", set()),
    ],
)
def test_only_these_domains_change(override, changed):
    before, after = load_config("demo"), load_config("demo", [override])
    found = {domain for domain in ("social", "code") if novel_spec(before, domain) != novel_spec(after, domain)}
    assert found == changed


@pytest.mark.parametrize(
    ("ks", "shown", "every"),
    [
        ("[1, 5, 10]", 10, (1, 5, 10)),
        ("[1, 5]", 5, (1, 5)),
        ("[1]", 2, (1, 2)),
        ("[1, 20]", 10, (1, 10, 20)),
    ],
)
def test_at_most_ten_and_at_least_two_are_shown(ks, shown, every):
    spec = novel_spec(load_config("demo", [f"evaluation.ks={ks}"]), "social")
    assert (spec.shown, spec.ks) == (shown, every)


def test_every_arm_and_seed_has_its_decoding():
    config = load_config("demo", ["seeds=[1, 2]"])
    spec = novel_spec(config, "social")
    assert spec.arms == config.arms
    assert set(spec.decodings) == {f"{arm}/{seed}" for arm, seed in domain_arms(config, "social")}
    assert set(spec.decodings.values()) == {"20 at temperature 0.7, top_p 0.9, top_k 0, at most 40 tokens"}
    trained = load_config("code-grpo")
    assert "code_max" in novel_spec(trained, "code").arms
    assert novel_spec(trained, "social").arms == ("zero_shot",)

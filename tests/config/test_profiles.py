"""A config is valid or named fault by fault, before anything else happens."""

import pytest

from polymlops.config.profiles import load_config, profile_names, validate
from polymlops.config.suites import MbppConfig, WorldSuiteConfig
from polymlops.errors import ConfigError


@pytest.mark.parametrize("name", profile_names())
def test_every_packaged_profile_is_valid(name):
    config = load_config(name)
    assert config.name == name
    assert validate(config.model_dump(mode="json", by_alias=True)) == config


def test_overrides_apply_in_order():
    config = load_config(
        "demo", ["polychromic.lambda=0.1", "seeds=[1, 2]", "polychromic.lambda=0.2", "tracking.uri=null"]
    )
    assert config.polychromic.lambda_ == 0.2
    assert config.seeds == (1, 2)
    assert config.tracking.uri is None


@pytest.mark.parametrize(
    ("profile", "overrides", "suite"),
    [
        ("demo", ["code.suite.split=validation"], WorldSuiteConfig(split="validation")),
        ("demo", ["code.suite.split=train", "code.suite.kind=mbpp"], MbppConfig(split="train")),
        ("demo", ["code.suite={kind: mbpp}", "code.suite.variant=sanitized"], MbppConfig(variant="sanitized")),
        ("smoke", ["code.suite.seed=3"], load_config("smoke").code.suite.model_copy(update={"seed": 3})),
    ],
)
def test_one_key_of_a_tagged_section_leaves_its_kind(profile, overrides, suite):
    assert load_config(profile, overrides).code.suite == suite


def test_file_is_a_profile_too(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nsampling: {n: 20}\n")
    assert load_config(str(path)).sampling.n == 20
    path.write_text("")
    assert load_config(str(path)).name == "experiment"


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["polychromic.lambda=-1"], "polychromic.lambda: Input should be greater than or equal to 0 (got -1)"),
        (["sampling.n=x"], "sampling.n: Input should be a valid integer"),
        (["a.b=1"], "a: unknown key"),
        (["sft.epoch=1"], "sft.epoch: unknown key"),
        (["sampling.n=10", "evaluation.ks=[1, 11]"], "evaluation.ks: 11 is above sampling.n = 10"),
        (["evaluation.ks=[0]"], "evaluation: ks (0,) must be distinct and at least 1"),
        (["seeds=[1, 1]"], "seeds: (1, 1) names one twice"),
        (
            ["arms=[nobody]"],
            "arms.0: Input should be 'zero_shot', 'few_shot', 'baseline', 'polychromic', ",
        ),
        (["arms=[polychromic, baseline_grpo]"], "arms: baseline_grpo starts from baseline, which is not among"),
        (["polychromic_grpo.k=9"], "polychromic_grpo: k 9 is above samples"),
        (
            ["grpo.k=2", "grpo.samples=2", "grpo.micro_batch=4"],
            "grpo: baseline mean has nothing to compare with at k = samples",
        ),
        (["sampling.temperature=.nan"], "sampling.temperature: Input should be"),
        (["data.split.test=0.5"], "data.split: the shares sum to"),
        (["name='a/b'"], "name: String should match pattern"),
        (["grpo.distance=program"], "grpo.distance: replies are no programs: use embedding or lexical"),
        (["code.suite.variant=full"], "code.suite.world.variant: unknown key"),
        (["lambda"], "--set lambda: expected key.path=value"),
        (["name.x=1"], "--set name.x=1: name is a value, not a section"),
        (["seeds=[1"], "--set seeds=[1: not YAML"),
    ],
)
def test_fault_is_one_line_with_its_path(overrides, line):
    with pytest.raises(ConfigError) as failure:
        load_config("demo", overrides)
    assert str(failure.value).startswith(line)
    assert len(str(failure.value).splitlines()) == 1


def test_a_tagged_section_without_a_default_is_asked_for_its_kind():
    values = load_config("demo").model_dump(mode="json", by_alias=True)
    del values["code"]["suite"]["kind"]
    with pytest.raises(ConfigError) as failure:
        validate(values)
    assert str(failure.value) == "code.suite: says no kind, and has none by default: add code.suite.kind"


def test_every_fault_is_told_at_once():
    with pytest.raises(ConfigError) as failure:
        load_config("demo", ["sampling.n=0", "sft.batch=0", "x=1"])
    assert [line.split(":")[0] for line in str(failure.value).splitlines()] == ["sft.batch", "sampling.n", "x"]


@pytest.mark.parametrize(
    ("profile", "message"),
    [("nope", "nope: no such profile; there are code-grpo, demo, "), ("gone.yaml", "gone.yaml: no such file")],
)
def test_unknown_profile_is_named(profile, message):
    with pytest.raises(ConfigError) as failure:
        load_config(profile)
    assert str(failure.value).startswith(message)


def test_file_that_is_no_mapping_is_named(tmp_path):
    (tmp_path / "a.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match="expected keys and values, got list"):
        load_config(str(tmp_path / "a.yaml"))


@pytest.mark.parametrize("name", ["<b>x</b>", "it's", 'a"b', "two\nlines", "name\n", "a/b", "..", "", "x" * 10_000])
@pytest.mark.parametrize("field", ["name", "arms"])
def test_a_name_that_is_no_slug_is_refused(field, name):
    """It becomes the title of runs, keys of artifacts, folders and file names."""
    with pytest.raises(ConfigError, match=field):
        validate({field: [name] if field == "arms" else name})

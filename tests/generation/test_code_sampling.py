"""Programs are asked for in the suite's format, solved examples come from outside the test, and no space is lost."""

import polars as pl
import pytest

from polymlops.config.code_slices import CodeSampleSpec
from polymlops.config.sampling import SamplingConfig
from polymlops.config.suites import FileSuiteConfig, WorldSuiteConfig
from polymlops.data.prompts import Prompt
from polymlops.data.suites import load_suite
from polymlops.errors import InputError
from polymlops.generation.code_sampling import code_questions, sample_programs, solved_examples, written
from polymlops.generation.decoding import Candidate
from polymlops.generation.sampling import SCHEMA
from polymlops.models.loading import load_tokenizer


def spec_of(arm="zero_shot", suite=None, **sampling):
    settings = {"n": 3, "prompts": 4, "shard_prompts": 3, "max_new_tokens": 8} | sampling
    return CodeSampleSpec(
        arm=arm, seed=0, domain="code_world", sampling=SamplingConfig(**settings), suite=suite or WorldSuiteConfig()
    )


def test_a_sample_set_has_n_programs_for_the_first_problems(small_base, make_job):
    job = make_job()
    metrics = sample_programs(spec_of(), small_base, None, job)
    frame = pl.read_parquet(job.output / "samples.parquet")
    assert dict(frame.schema) == SCHEMA
    assert metrics["sampling/candidates"] == frame.height == 12
    first = [problem.task_id for problem in load_suite(WorldSuiteConfig()).problems[:4]]
    assert frame["prompt_id"].unique(maintain_order=True).to_list() == first
    assert set(frame["domain"]) == {"code_world"}


def test_white_space_of_an_answer_is_kept(small_base):
    tokenizer = load_tokenizer(small_base)
    text = "    return n\n"
    tokens = (*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id)
    assert written(tokenizer, Candidate(tokens, -1.0, 0.0, True)) == text


def test_solved_examples_share_no_problem_with_the_test():
    examples = solved_examples(WorldSuiteConfig(), spec_of("few_shot", few_shot=5))
    train = {problem.prompt for problem in load_suite(WorldSuiteConfig(split="train")).problems}
    assert len({prompt for prompt, _ in examples}) == 5
    assert {prompt for prompt, _ in examples} <= train
    assert not {prompt for prompt, _ in examples} & {p.prompt for p in load_suite(WorldSuiteConfig()).problems}


def test_few_shot_is_longer_by_its_examples(small_base):
    tokenizer = load_tokenizer(small_base)
    zero, few = (code_questions(spec_of(arm, few_shot=1)) for arm in ("zero_shot", "few_shot"))
    assert zero.prompts == few.prompts
    assert len(few.encode(tokenizer, few.prompts[0])) > len(zero.encode(tokenizer, zero.prompts[0]))


def test_few_shot_without_solved_problems_is_refused(tmp_path):
    with pytest.raises(InputError, match="no solved examples for suite 'file'"):
        solved_examples(FileSuiteConfig(path=tmp_path), spec_of("few_shot"))


def test_base_format_continues_the_prompt_as_it_stands(small_base):
    tokenizer = load_tokenizer(small_base)
    questions = code_questions(spec_of(suite=WorldSuiteConfig(format="base")))
    tokens = questions.encode(tokenizer, questions.prompts[0])
    assert tokenizer.decode(tokens) == questions.prompts[0].text


def test_a_model_without_a_chat_is_told_which_format_it_can_have(small_base):
    tokenizer = load_tokenizer(small_base)
    tokenizer.chat_template = None
    with pytest.raises(InputError, match="format base"):
        code_questions(spec_of()).encode(tokenizer, Prompt("a", "text"))

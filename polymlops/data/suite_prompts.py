"""How a model is asked for a program: text to be continued for a base model, one message for a chat model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from polymlops.config.suites import PromptFormat
from polymlops.data.suite_problems import Problem, Suite

# Where a continued function has ended: what no body can hold at the start of a line.
BODY_STOPS = ("\ndef ", "\nclass ", "\n@", "\n#", "\nif ", "\nprint(", "\nassert ", "\nimport ", "\nfrom ", "\n```")
BEGIN, DONE = "[BEGIN]", "[DONE]"


@dataclass(frozen=True, slots=True)
class SuitePrompt:
    """What a model sees for one problem.

    text     for `base` the text to continue; for `chat` and `turn` the user's message, to be put into a chat template
    stop     sampling may end at any of these; extraction ends there in any case
    """

    task_id: str
    text: str
    format: PromptFormat
    stop: tuple[str, ...]


def suite_prompts(suite: Suite, format: PromptFormat) -> list[SuitePrompt]:
    """The prompts of a suite, in its order.

    base  code: the prompt itself; sentences: MBPP's template (task, tests, [BEGIN]) after the suite's solved examples
    chat  an instruction, the problem fenced, and the demand for one fenced block with the whole program
    turn  the prompt alone

    Source: for MBPP Austin et al. 2021, arXiv:2108.07732, figure 1; stops of code after Chen et al. 2021,
    arXiv:2107.03374, section 2.2.
    """
    return [_prompt(problem, suite.examples, format) for problem in suite.problems]


def _prompt(problem: Problem, examples: Sequence[Problem], format: PromptFormat) -> SuitePrompt:
    match format:
        case "turn":
            return SuitePrompt(problem.task_id, problem.prompt, format, ())
        case "chat":
            return SuitePrompt(problem.task_id, _message(problem), format, ())
        case "base":
            if problem.prefix:
                return SuitePrompt(problem.task_id, problem.prefix, format, BODY_STOPS)
            solved = "".join(
                f"{_task(example)}{_lines(example.canonical_solution)}\n{DONE}\n\n" for example in examples
            )
            return SuitePrompt(problem.task_id, solved + _task(problem), format, (DONE,))


def _task(problem: Problem) -> str:
    return (
        f"You are an expert Python programmer, and here is your task: {_lines(problem.prompt)} "
        f"Your code should pass these tests:\n\n{_lines(problem.tests)}\n{BEGIN}\n"
    )


def _message(problem: Problem) -> str:
    if problem.prefix:
        return (
            "Complete this Python function. Answer with the whole function, imports included, in one fenced block.\n\n"
            f"```python\n{problem.prefix.rstrip()}\n```"
        )
    return (
        f"{_lines(problem.prompt)}\n\nName the function `{problem.entry_point}`. It must pass these tests:\n\n"
        f"```python\n{_lines(problem.tests)}\n```\n\nAnswer with the whole program in one fenced block."
    )


def _lines(text: str) -> str:
    """The text with plain line ends: MBPP was written with those of Windows."""
    return text.replace("\r\n", "\n").strip()

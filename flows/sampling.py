"""A sample set, drawn by one stage run or by several, each of a part of the prompts."""

from __future__ import annotations

from typing import Any

from flows.calls import Call
from polymlops.config.sampling import PromptBlock
from polymlops.config.slices import SampleSpec
from polymlops.refs import SampleSetRef
from tasks.stage_task import StageTask


def drawn(call: Call, parts: int, task: StageTask[..., SampleSetRef], spec: SampleSpec, *sources: Any) -> SampleSetRef:
    """The sample set of a spec; which part drew a candidate changes nothing in it, nor in the key that it has."""
    if parts == 1 or call.knows(task, spec, *sources):
        return call(task, spec, *sources)
    blocks = [spec.model_copy(update={"block": PromptBlock(index=i, of=parts)}) for i in range(parts)]
    made = call.each(task, [(block, *sources) for block in blocks])
    return call(task, spec, *sources, parts=tuple(made))

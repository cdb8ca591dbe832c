"""What the page of a flow run shows: the plan, how far it is, results with their figures, and the report."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from prefect.context import FlowRunContext

from flows.results import NovelResults
from polymlops.config.schema import ExperimentConfig
from polymlops.records import Estimate, ProgressLog
from polymlops.refs import Reference, ReportRef
from polymlops.report.markdown import markdown_table, plain
from polymlops.tracking.pages import browser_address, file_address, run_page
from polymlops.tracking.plans import PlannedStage, plan_total
from polymlops.tracking.records import TableRow
from polymlops.tracking.stages import RunContext
from tasks.progress import page_here, shown_progress
from tasks.run_pages import artifact_key, show


class Counter:
    """Counts the stages that are done, each once however many phases ask for it."""

    def __init__(self, total: int, progress: ProgressLog) -> None:
        self.total = total
        self.progress = progress
        self.done: set[str] = set()

    def count(self, ref: Reference) -> None:
        """One that is done."""
        self.done.add(ref.run_id)
        self.progress(len(self.done), max(self.total, len(self.done)), "stage")


COUNTER: ContextVar[Counter | None] = ContextVar("counter", default=None)  # of the flow that holds the roadmap's run


def count_done(ref: Reference) -> None:
    """Count a stage on the page of the flow that has shown its plan."""
    counter = COUNTER.get()
    if counter is not None:
        counter.count(ref)


@contextmanager
def shown_plan(config: ExperimentConfig, stages: Sequence[PlannedStage]) -> Iterator[None]:
    """Show the stages with expected time and cost, and while this lasts how many are done; nothing for no stages."""
    if not stages:
        yield
        return
    rows, total = [_plan_row(stage) for stage in stages], plan_total(stages)
    show("table", artifact_key("plan", _flow(), config.name), json.dumps(rows), f"{plain(config.name)}: {total}")
    with shown_progress(f"{_flow()} {config.name}", page_here()) as progress:
        token = COUNTER.set(Counter(len(stages), progress))
        try:
            yield
        finally:
            COUNTER.reset(token)


def _plan_row(stage: PlannedStage) -> dict[str, str]:
    """What is cached costs nothing; the rest is expected to take what was measured."""
    state = "cached" if stage.cached else "to run"
    if stage.cached:
        return {"stage": stage.title, "state": state, "expected seconds": "0", "expected dollars": "0"}
    if stage.seconds is None or stage.dollars is None:
        return {"stage": stage.title, "state": state, "expected seconds": "unknown", "expected dollars": "unknown"}
    return {
        "stage": stage.title,
        "state": state,
        "expected seconds": f"{stage.seconds:.0f}",
        "expected dollars": f"{stage.dollars:.2f}",
    }


def show_results(
    run: RunContext, name: str, reports: Mapping[str, ReportRef], tables: Mapping[str, Sequence[TableRow]]
) -> None:
    """Show a phase's figures, each a link to its file in MLflow, and its tables, by what they are of."""
    parts = []
    for of, ref in reports.items():
        parts += [f"## {plain(of)}", _figures(run, ref)]
        parts += [_arms_table(tables[of])] if of in tables else []
    show("markdown", artifact_key("results", _flow(), name), "\n\n".join(parts))


def pages_address(tracking_uri: str) -> str:
    """Where people's browsers find MLflow's pages: POLYMLOPS_PAGES_URL where workers have another way to the server."""
    return browser_address(os.environ.get("POLYMLOPS_PAGES_URL") or tracking_uri)


def _figures(run: RunContext, ref: ReportRef) -> str:
    address, folder = pages_address(run.tracking_uri), run.fetch(ref)
    lines = [f"[MLflow run]({run_page(address, run.experiment_id, ref.run_id)})"]
    for path in sorted(folder.rglob("*.png")):
        file = path.relative_to(folder).as_posix()
        page = run_page(address, run.experiment_id, ref.run_id, f"output/{file}")
        lines += [f"[{plain(file)}]({page})", f"![{plain(file)}]({file_address(address, ref, file)})"]
    return "\n\n".join(lines)


def _arms_table(rows: Sequence[TableRow]) -> str:
    arms = list(dict.fromkeys(row.arm for row in rows))
    cells = {(row.metric, row.arm): str(Estimate(row.value, row.low, row.high, row.n)) for row in rows}
    metrics = dict.fromkeys(row.metric for row in rows)
    lines = [[metric, *(cells.get((metric, arm), "") for arm in arms)] for metric in metrics]
    return markdown_table(["metric", *arms], lines)


def show_report(run: RunContext, name: str, results: NovelResults) -> None:
    """Link the report, with its verdict beside the link."""
    link = run_page(pages_address(run.tracking_uri), run.experiment_id, run.parent_run_id, results.page_artifact)
    said = "\n".join(f"- {plain(text)}" for text in results.verdict)
    text = f"[{results.page.name}]({link})\n\n{said}"
    show("markdown", artifact_key("report", name), text, f"Written to {plain(str(results.page))}")


def _flow() -> str:
    """Name of the flow that is under way."""
    context = FlowRunContext.get()
    return context.flow.name if context is not None and context.flow is not None else "flow"

"""The command line. Only `click` is imported until a command needs more, so that `--help` answers at once.

Exit codes: 0 done; 1 failed, finished work is kept; 2 the request is at fault; 130 stopped. Results go to stdout,
progress and messages to stderr.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from flows.evaluate_options import evaluate_options
from flows.own_data_options import own_data_options
from flows.score_options import compare_options, score_options

if TYPE_CHECKING:
    from polymlops.config.schema import ExperimentConfig

PHASES = (1, 2, 3, 4)
POOL_TYPES = ("process", "docker", "kubernetes")
F = Callable[..., Any]


def profile_options(command: F) -> F:
    """PROFILE and --set, as every command takes them."""
    command = click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one config value.")(
        command
    )
    return click.argument("profile", default="demo", metavar="[PROFILE|FILE]")(command)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="polymlops")
def main() -> None:
    """Which fine-tuning serves people best when they see k candidates and pick one."""
    signal.signal(signal.SIGTERM, _stop)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    """SIGTERM is a stop like Ctrl-C: runs are closed, children ended, work kept."""
    raise KeyboardInterrupt


@main.command()
@profile_options
@click.option("--phase", type=click.Choice([str(phase) for phase in PHASES]), help="Only this phase.")
@click.option(
    "--validate/--no-validate", default=None, help="Fail, or not, where the reward model does not beat the baselines."
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def run(profile: str, overrides: tuple[str, ...], phase: str | None, validate: bool | None, as_json: bool) -> None:
    """Run the roadmap, or go on with it: finished stages are not done again."""
    from flows.commands import exit_codes, run_command

    if validate is not None:
        overrides = (*overrides, f"reward_model.validate={str(validate).lower()}")
    with exit_codes():
        run_command(_config(profile, overrides), phase, as_json)


@main.command()
@profile_options
@click.option("--json", "as_json", is_flag=True, help="Print the plan and the whole effective config as JSON.")
def plan(profile: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Show the stages in order, what is cached, and the expected time and cost. Starts nothing."""
    from flows.commands import exit_codes, plan_command

    with exit_codes():
        plan_command(_config(profile, overrides), as_json)


@main.command()
@profile_options
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
def doctor(profile: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Check this machine: packages, disk, memory, stores and ports. Exits with 1 where a check fails."""
    from flows.commands import doctor_command, exit_codes

    with exit_codes():
        doctor_command(_config(profile, overrides), as_json)


@main.command()
@profile_options
@click.option("--prefect-port", default=4200, show_default=True, type=click.IntRange(0, 65535), help="0: any free one.")
@click.option("--mlflow-port", default=5000, show_default=True, type=click.IntRange(0, 65535), help="0: any free one.")
def ui(profile: str, overrides: tuple[str, ...], prefect_port: int, mlflow_port: int) -> None:
    """Serve the Prefect and MLflow UIs on loopback until Ctrl-C."""
    from flows.commands import exit_codes, ui_command

    with exit_codes():
        ui_command(_config(profile, overrides), prefect_port, mlflow_port)


@main.command()
@click.option("--check", is_flag=True, help="Only compare; exits with 1 where the server differs.")
@click.option("--gpus", default=1, show_default=True, type=click.IntRange(1), help="GPU stages at a time.")
@click.option("--pool-type", default="process", show_default=True, type=click.Choice(POOL_TYPES))
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
def deploy(check: bool, gpus: int, pool_type: str, as_json: bool) -> None:
    """Create or update work pools, limits, deployments and automations on the server that PREFECT_API_URL names.

    Their runs are remembered by the MLflow server that MLFLOW_TRACKING_URI names. See deployments/prefect.yaml.
    """
    from flows.commands import deploy_command, exit_codes

    with exit_codes():
        deploy_command(gpus, pool_type, check, as_json)


@main.command()
@click.argument("deployment")
@profile_options
@click.option("--json", "as_json", is_flag=True, help="Print the flow run as JSON.")
def submit(deployment: str, profile: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Create a flow run of a DEPLOYMENT (roadmap-demo, core-results, ...) with a config that was checked first."""
    from flows.commands import exit_codes, submit_command

    with exit_codes():
        submit_command(deployment, profile, overrides, as_json)


@main.command()
@score_options
def score(**options: Any) -> None:
    """Score anyone's candidates: JSON lines (plain or .gz) or parquet, one candidate a row.

    Columns: prompt_id or task_id; text or completion. Optional: passed, quality, selector_*, arm, seed, sample_id. With
    --suite the completions are programs, which are executed; every verdict is written to verdicts.jsonl.
    """
    from flows.commands import exit_codes
    from flows.scoring import ScoreRequest, score_command

    request = ScoreRequest(**options)
    with exit_codes():
        if request.suite or request.suite_file:
            from flows.program_scoring import score_programs_command

            score_programs_command(request)
        elif request.check_suite or request.require_isolation:
            raise click.UsageError("--check-suite and --require-isolation go with --suite or --suite-file: add one")
        else:
            score_command(request)


@main.command()
@evaluate_options
def evaluate(**options: Any) -> None:
    """Evaluate a model on a domain: sample it, score what it says (programs are executed in the sandbox).

    A registered adapter brings its base along. The same command goes on where it was killed.
    """
    from flows.commands import exit_codes
    from flows.evaluate_request import EvaluateRequest
    from flows.evaluating import evaluate_command

    with exit_codes():
        evaluate_command(EvaluateRequest(**options))


@main.command()
@compare_options
def compare(**options: Any) -> None:
    """Compare arms on the same prompts: files of candidates, or MLflow runs with scores, by their id."""
    from flows.commands import exit_codes
    from flows.comparing import CompareRequest, compare_command

    with exit_codes():
        compare_command(CompareRequest(**options))


@main.command()
@own_data_options
def ingest(**options: Any) -> None:
    """Check a file of posts, replies and likes: JSON lines, CSV, Parquet, or a folder of them. Keeps nothing.

    Every row that cannot be used is counted by its reason, with examples. Exits with 2 where no row is usable.
    """
    from flows.commands import exit_codes
    from flows.own_data import OwnDataRequest, ingest_command

    with exit_codes():
        ingest_command(OwnDataRequest(**options))


@main.command()
@own_data_options
def reward(**options: Any) -> None:
    """Train a reward model on a file of posts, replies and likes, and judge it on posts that it has not seen."""
    from flows.commands import exit_codes
    from flows.own_data import OwnDataRequest, reward_command

    with exit_codes():
        reward_command(OwnDataRequest(**options))


@main.command()
@click.argument("run_named", metavar="RUN")
@click.option("--out", default="report.html", show_default=True, metavar="FILE", help="The page.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="tracking.uri or output_dir of the store.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict and what is missing as JSON.")
def report(run_named: str, out: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Write one HTML page about a roadmap: RUN is the id of its run, or the name of its experiment."""
    from flows.commands import exit_codes
    from flows.report_page import report_command

    with exit_codes():
        report_command(_config("demo", overrides), run_named, out, as_json)


def _config(profile: str, overrides: tuple[str, ...]) -> ExperimentConfig:
    from polymlops.config.profiles import load_config

    return load_config(profile, overrides)


if __name__ == "__main__":
    main()

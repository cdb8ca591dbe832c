"""Exit codes, messages and start-up of the command line."""

import json
import sys

import pytest

BAD_REQUESTS = {
    "unknown profile": (["run", "nope"], "nope: no such profile"),
    "unknown file": (["run", "nope.yaml"], "nope.yaml: no such file"),
    "unknown key": (["run", "smoke", "--set", "sft.epoch=1"], "sft.epoch: unknown key"),
    "lambda below 0": (["run", "smoke", "--set", "polychromic.lambda=-0.1"], "polychromic.lambda: "),
    "k above n": (["run", "smoke", "--set", "evaluation.ks=[999]"], "evaluation.ks: 999 is above sampling.n"),
    "wrong type": (["plan", "smoke", "--set", "sampling.n=many"], "sampling.n: "),
    "no pair": (["run", "smoke", "--set", "lambda"], "--set lambda: expected key.path=value"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_bad_request_is_exit_2_with_one_line(shell, arguments, message):
    code, done = shell.run(*arguments)
    assert code == 2
    assert done.err.startswith(f"error: {message}")
    assert len(done.err.splitlines()) == 1
    assert done.out == ""
    assert sorted(path.name for path in done.folder.iterdir()) == ["err", "out"]


@pytest.mark.parametrize("command", ["run", "ui"])
def test_unwritable_output_folder_is_exit_2(shell, tmp_path, command):
    (tmp_path / "file").write_text("in the way")
    code, done = shell.run(command, "smoke", "--set", f"output_dir={tmp_path / 'file' / 'out'}")
    assert code == 2
    assert done.err.startswith(f"error: output_dir: {tmp_path / 'file' / 'out'} cannot be written (Not a directory)")
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments", [["fly"], ["run", "--phase", "9"], ["run", "--nope"], ["ui", "--mlflow-port", "x"]]
)
def test_bad_usage_is_exit_2(shell, arguments):
    code, done = shell.run(*arguments)
    assert code == 2
    assert done.out == ""
    assert "Error: " in done.err


def test_help_imports_nothing_heavy(shell):
    code = (
        "import sys, flows.cli\n"
        "try: flows.cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'prefect', 'mlflow', 'torch', 'transformers', 'numpy', 'pydantic', 'yaml', 'rich', 'polars'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    started = shell.start(sys.executable, "-c", code)
    assert started.wait() == 0
    assert started.out.splitlines()[-1] == "[]"
    assert "Usage:" in started.out


def test_importing_flows_imports_nothing_heavy(shell):
    code = "import sys, flows; print(sorted({'prefect', 'mlflow', 'torch', 'numpy'} & set(sys.modules)))"
    started = shell.start(sys.executable, "-c", code)
    assert started.wait() == 0
    assert started.out.strip() == "[]"


def test_plan_of_nothing_starts_and_writes_nothing(shell):
    code, done = shell.run("plan", "smoke", "--json")
    assert code == 0, done.err
    plan = json.loads(done.out)
    assert [stage["cached"] for stage in plan["stages"]] == [False] * len(plan["stages"])
    assert plan["total"]["unknown"] == len(plan["stages"]) > 10
    assert plan["config"]["polychromic"]["lambda"] > 0
    assert sorted(path.name for path in done.folder.iterdir()) == ["err", "out"]


def test_plan_of_a_first_run_imports_only_what_a_plan_needs(shell):
    code = (
        "import sys, flows.cli\n"
        "try: flows.cli.main(['plan', 'smoke', '--json'])\n"
        "except SystemExit: pass\n"
        "heavy = {'prefect', 'mlflow', 'torch', 'transformers', 'trl', 'peft', 'sentence_transformers', 'datasets'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    started = shell.start(sys.executable, "-c", code)
    assert started.wait() == 0
    assert started.err.splitlines()[-1] == "[]"
    assert "train_adapter" in started.out


def test_plan_of_a_known_run_needs_mlflow_but_neither_prefect_nor_torch(shell, after_smoke):
    code = (
        "import sys, flows.cli\n"
        "try: flows.cli.main(['plan', 'smoke', '--json', '--set', 'output_dir=' + sys.argv[1]])\n"
        "except SystemExit: pass\n"
        "heavy = {'prefect', 'torch', 'transformers', 'trl', 'peft'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    started = shell.start(sys.executable, "-c", code, str(after_smoke))
    assert started.wait() == 0
    assert started.err.splitlines()[-1] == "[]"
    assert json.loads(started.out)["total"]["stages_to_run"] == 0

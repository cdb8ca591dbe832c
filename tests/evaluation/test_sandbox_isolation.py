"""What the sandbox does where the system offers less, as whom it runs, and what its processes hold."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sandbox_programs_under_test import GOOD

from polymlops.evaluation.sandbox import Program, SandboxLimits, SandboxPool
from polymlops.evaluation.sandbox_syscalls import ALLOWED, FATAL, MACHINES, NAMED, machine, numbers

ROOT = Path(__file__).parents[2]
START = """
import logging, os, struct, sys
logging.basicConfig(format="%(message)s", stream=sys.stderr)
from polymlops.evaluation import sandbox_kernel as kernel, sandbox_seccomp as seccomp
from polymlops.evaluation.sandbox import Program, SandboxLimits, run_programs
"""
# As root, the interpreter may lie where nobody else can enter: show it, by a mount of this process alone.
BECOME_ORDINARY = """
def closed(path):
    parents = [parent for parent in reversed((path, *path.parents)) if not parent.stat().st_mode & 1]
    return parents[0] if parents else None
if os.geteuid() == 0:
    from pathlib import Path
    prefix = Path(sys.base_prefix).resolve()
    if (door := closed(prefix)) is not None:
        kernel.unshare(kernel.NEW_MOUNTS)
        kernel.mount("none", "/", None, 0x44000)
        handle = os.open(prefix, os.O_PATH)
        kernel.mount("tmpfs", str(door), "tmpfs", 0, "mode=755")
        prefix.mkdir(parents=True)
        kernel.mount(f"/proc/self/fd/{handle}", str(prefix), None, 0x5000)
        os.close(handle)
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
"""
REFUSE = """
def refuse(*calls):
    steps = [(0x20, 0, 0, 0)]
    for call in calls:
        steps += [(0x15, 0, 1, call), (0x06, 0, 0, 0x00050001)]
    steps.append((0x06, 0, 0, 0x7FFF0000))
    kernel.process_control(kernel.SET_NO_NEW_PRIVILEGES, 1)
    seccomp.install(b"".join(struct.pack("<HBBI", *step) for step in steps))
"""
RUN = """
good = Program("def f(xs):\\n    return sorted(xs)\\n", "assert f([2, 1]) == [1, 2]", "f")
secret = Program(f"def f(xs):\\n    return open({sys.argv[1]!r}).read()", "assert f(0) == 'x'", "f")
forks = Program("import os\\ndef f(xs):\\n    return os.fork()", "assert f(0) is not None", "f")
net = Program("import socket\\ndef f(xs):\\n    return socket.socket()", "assert f(0) is not None", "f")
limits = SandboxLimits(workers=1, cpu_seconds=1, require_isolation=REQUIRED)
numeric = Program("import numpy as np\\ndef f(xs):\\n    return np.array(xs) @ xs", "assert f([2, 1]) == 5", "f")
for outcome in run_programs([good, secret, forks, net], limits) + run_programs([numeric], limits):
    print(outcome.verdict)
"""


def run(tmp_path, script):
    planted = tmp_path / "planted"
    planted.write_text("x")
    planted.chmod(0o600)
    found = subprocess.run(
        [sys.executable, "-c", START + script, str(planted)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        env={"PATH": os.environ["PATH"]},
    )
    return found.stdout.split(), found.stderr, found.returncode


def call(name):
    here = machine()
    assert here is not None
    return {"landlock": 444}.get(name) or (numbers(FATAL, here) | numbers(ALLOWED, here))[name]


pytestmark = pytest.mark.skipif(machine() is None, reason="the filters know x86_64 and aarch64 only")


def test_every_layer_holds_for_an_ordinary_user(tmp_path):
    said, errors, status = run(tmp_path, BECOME_ORDINARY + RUN.replace("REQUIRED", "True"))
    assert status == 0, errors
    assert said[0] == said[4] == "passed"
    assert set(said[1:4]) <= {"failed", "blocked"}


@pytest.mark.parametrize(
    ("refused", "layers"),
    [
        (["unshare"], ["mount namespace", "pid namespace", "network namespace", "ipc namespace"]),
        (["landlock"], ["Landlock"]),
        (["seccomp"], ["seccomp"]),
    ],
)
def test_a_missing_layer_is_named_once_and_the_others_hold(tmp_path, refused, layers):
    refusal = REFUSE + f"refuse({', '.join(str(call(name)) for name in refused)})\n"
    said, errors, status = run(tmp_path, refusal + RUN.replace("REQUIRED", "False"))
    assert status == 0, errors
    assert said[0] == said[4] == "passed"
    assert said[1] in ("failed", "blocked")
    if refused != ["seccomp"]:  # without it, processes and sockets are made, within namespaces of their own
        assert said[2:4] == ["blocked", "blocked"]
    for layer in layers:
        assert errors.count(f"sandbox without {layer}:") == 1
    said, errors, status = run(tmp_path, refusal + RUN.replace("REQUIRED", "True"))
    assert status != 0
    assert said == []
    assert "UsageError: the sandbox lacks a layer of isolation here: " in errors
    assert all(layer in errors for layer in layers)


def test_workers_are_small_and_clean_and_serve_many():
    """The caller may hold anything; the worker's processes hold the standard library, and stay the same."""
    with SandboxPool(SandboxLimits(workers=1)) as pool:
        source = "import sys\ndef f(): return [name for name in sys.modules if name.split('.')[0] in %r]\n"
        heavy = ("torch", "numpy", "pydantic", "transformers", "mlflow", "prefect", "sandbox_programs_under_test")
        pids = "import os\ndef f(): return os.getppid(), os.getpid()\n"
        clean = Program(source % (heavy,), "assert f() == []", "f")
        outcomes = pool.run([clean, GOOD, *(Program(pids + f"# {n}\n", "assert f()[0] == 1", "f") for n in range(3))])
    assert [outcome.verdict for outcome in outcomes] == ["passed"] * 5


def test_a_program_has_no_rights_and_sees_little():
    hidden = ["/proc", "/sys", "/home", "/var", "/etc/passwd", "/etc/hosts", "/bin", "/usr/bin", str(ROOT), __file__]
    source = (
        f"import os\ndef f():\n    seen = [path for path in {hidden!r} if os.path.exists(path)]\n"
        "    return os.geteuid(), seen, os.listdir('/tmp'), os.getcwd()\n"
    )
    tests = "user, seen, box, here = f()\nassert user != 0\nassert seen == []\nassert (box, here) == ([], '/tmp')\n"
    with SandboxPool(SandboxLimits(workers=1, require_isolation=True)) as pool:
        assert pool.run([Program(source, tests, "f")])[0].verdict == "passed"


def test_tables_of_system_calls_agree_with_this_machine():
    """Each machine has its own numbers, none of them twice, and a call is either fatal or allowed."""
    for name in MACHINES:
        allowed, fatal, named = (numbers(table, name) for table in (ALLOWED, FATAL, NAMED))
        assert len(set(allowed.values())) == len(allowed)
        assert not set(allowed.values()) & set(fatal.values())
        assert named["clone"] == allowed["clone"]

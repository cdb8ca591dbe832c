"""One test an attempt: none succeeds, none ends as passed, and the pool serves the next program."""

import os
import socket
import threading

import pytest
from sandbox_programs_under_test import ATTACKS, CHECK_ONE, CHECK_SECRET, GOOD, SECRET

from polymlops.evaluation.sandbox import Program, SandboxLimits, SandboxPool

LIMITS = SandboxLimits(cpu_seconds=1, wall_seconds=20, workers=1, require_isolation=True)


@pytest.fixture(scope="module")
def pool():
    with SandboxPool(LIMITS) as opened:
        yield opened


def survives(pool, program):
    """The outcome of an attack that the pool outlived."""
    outcome, after = pool.run([program, GOOD])
    assert after.verdict == "passed"
    return outcome


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack_fails(pool, attack):
    outcome = survives(pool, attack.program)
    assert outcome.verdict in attack.verdicts, outcome
    assert len(outcome.reason) <= 300


def test_planted_secrets_are_out_of_sight(pool, tmp_path, monkeypatch):
    planted = tmp_path / "secret.txt"
    planted.write_text(SECRET)
    planted.chmod(0o644)
    monkeypatch.chdir(tmp_path)
    for path in (
        str(planted),
        "secret.txt",
        "/proc/self/cwd/secret.txt",
        f"/proc/{os.getpid()}/root{planted}",
        __file__,
    ):
        outcome = survives(pool, Program(f"def f():\n    return open({path!r}).read()[:11]\n", CHECK_SECRET, "f"))
        assert outcome.verdict in ("failed", "blocked"), path


def test_environment_is_empty(monkeypatch):
    monkeypatch.setenv("TOKEN", SECRET)
    source = "import os\ndef f(): return len(os.environ) + len(os.environb)\n"
    look = "def f(): return open('/proc/self/environ').read()\n"
    with SandboxPool(LIMITS) as fresh:
        assert fresh.run([Program(source, "assert f() == 0", "f")])[0].verdict == "passed"
        assert survives(fresh, Program(look, "assert 'SECRET' in f()", "f")).verdict in ("failed", "blocked")


def test_nothing_outside_is_written(pool, tmp_path):
    tmp_path.chmod(0o777)
    for path in (tmp_path / "new", "/etc/new", "/new", "/usr/lib/new"):
        source = f"def f():\n    open({str(path)!r}, 'w').write('x')\n    return 1\n"
        assert survives(pool, Program(source, CHECK_ONE, "f")).verdict in ("failed", "blocked"), path
        assert not os.path.exists(path)


def test_what_a_program_writes_is_gone_for_the_next(pool):
    source = "import os\ndef f():\n    found = os.listdir()\n    open('left', 'w').write('x')\n    return found\n"
    for number in range(2):
        program = Program(f"# {number}\n{source}", "assert f() == []", "f")
        assert survives(pool, program).verdict == "passed"


@pytest.mark.parametrize("family", ["AF_INET", "AF_UNIX"])
def test_nobody_is_reached_by_socket(pool, tmp_path, family):
    with socket.socket(getattr(socket, family)) as server:
        server.bind(("127.0.0.1", 0) if family == "AF_INET" else str(tmp_path / "socket"))
        server.listen()
        server.settimeout(0.5)
        address = server.getsockname()
        source = f"import socket\ndef f():\n    socket.socket(socket.{family}).connect({address!r})\n    return 1\n"
        assert survives(pool, Program(source, CHECK_ONE, "f")).verdict == "blocked"
        with pytest.raises(TimeoutError):
            server.accept()


def test_no_thread_or_process_outlives_the_verdict(pool):
    source = (
        "import os, threading, time\n"
        "def write():\n    time.sleep(0.2)\n    open('/tmp/late', 'w').write('x')\n"
        "def f():\n    threading.Thread(target=write).start()\n    return 0\n"
    )
    assert survives(pool, Program(source, CHECK_ONE, "f")).verdict == "failed"
    look = "import os, time\ndef f():\n    time.sleep(0.5)\n    return os.path.exists('/tmp/late')\n"
    assert pool.run([Program(look, "assert f() is False", "f")])[0].verdict == "passed"
    daemon = "import os\ndef f():\n    if os.fork() == 0:\n        os.setsid()\n    return 1\n"
    assert survives(pool, Program(daemon, CHECK_ONE, "f")).verdict == "blocked"


def test_another_program_is_never_executed(pool):
    """The call returns, since it is refused; had it worked, nothing would be there to return."""
    source = (
        "import ctypes, sys\ndef f():\n    libc = ctypes.CDLL(None, use_errno=True)\n"
        "    path = sys.executable.encode() or b'/bin/true'\n"
        "    return libc.execv(path, (ctypes.c_char_p * 2)(path)), ctypes.get_errno()\n"
    )
    assert survives(pool, Program(source, "assert f() == (-1, 1)", "f")).verdict == "passed"


def test_hunters_would_find_what_is_there(pool):
    """The programs that look for the expected value do find it where it is: in one process with the tests."""
    hunter = next(attack for attack in ATTACKS if attack.name == "memory for the expected value")
    source = hunter.source.replace("def f():", "def f(g):")
    outcome = survives(pool, Program(source, f"assert f(lambda: 1) == {SECRET!r}", "f"))
    assert outcome.in_one_process
    assert outcome.verdict == "passed"


def test_ways_around_hold_in_one_process_too(pool):
    """A function as an argument cannot cross: the tests run beside the program, and an early exit is no pass."""
    tests = "assert f(lambda: 1) == 1"
    for body in ("os._exit(0)", "sys.exit(0)", "print('passed') or 2"):
        source = f"import os, sys\ndef f(g): return {body}\n"
        outcome = survives(pool, Program(source, tests, "f"))
        assert (outcome.verdict, outcome.in_one_process) == ("failed", True), body


def test_caller_is_untouched(pool):
    before = (os.getcwd(), threading.active_count(), dict(os.environ))
    pool.run([attack.program for attack in ATTACKS[:3]])
    assert (os.getcwd(), threading.active_count(), dict(os.environ)) == before

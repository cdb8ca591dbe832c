"""Both UIs come up on loopback, on the run's databases, and never outlive the command."""

import re
import signal
import time
import urllib.error
import urllib.request

import pytest


def _addresses(started):
    return re.findall(r"http://127\.0\.0\.1:\d+", started.out)


def _text(url):
    with urllib.request.urlopen(url, timeout=20) as response:
        return response.read().decode()


def _is_gone(url):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            _text(url)
        except (urllib.error.URLError, ConnectionError):
            return True
        time.sleep(0.2)
    return False


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGKILL, -9)])
def test_serves_both_until_a_signal(shell, tmp_path, number, code):
    ports = ["--prefect-port", "0", "--mlflow-port", "0"]
    started = shell.polymlops("ui", "smoke", "--set", f"output_dir={tmp_path / 'out'}", *ports)
    started.wait_for(lambda: len(_addresses(started)) == 2)
    prefect, mlflow = _addresses(started)
    assert "prefect" in _text(prefect).lower()
    assert "mlflow" in _text(mlflow).lower()
    assert _text(f"{prefect}/api/health") == "true"
    assert started.kill(number) == code
    assert _is_gone(prefect)
    assert _is_gone(mlflow)


def test_taken_port_is_exit_2(shell, tmp_path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, done = shell.run("ui", "smoke", "--set", f"output_dir={tmp_path / 'out'}", "--prefect-port", port)
    assert code == 2
    assert done.err.startswith(f"error: --prefect-port {port}: Address already in use")

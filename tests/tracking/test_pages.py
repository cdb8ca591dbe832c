"""Addresses of pages: what a browser can open, without a password."""

import pytest

from polymlops.refs import ReportRef
from polymlops.tracking.pages import OWN_UI, browser_address, file_address, run_page


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("sqlite:////tmp/runs/mlflow.db", OWN_UI),
        ("http://127.0.0.1:5000/", "http://127.0.0.1:5000"),
        ("https://worker:secret@mlflow.example:8443/under/here?x=1", "https://mlflow.example:8443/under/here"),
    ],
)
def test_address_of_the_pages(uri, address):
    assert browser_address(uri) == address


def test_a_store_without_server_has_its_pages_where_ui_serves_them():
    from flows.cli import ui

    ports = {option.name: option.default for option in ui.params}
    assert f"http://127.0.0.1:{ports['mlflow_port']}" == OWN_UI


def test_names_of_files_are_quoted():
    ref = ReportRef(run_id="r", uri="u", digest="d")
    assert run_page("http://x", "1", "r") == "http://x/#/experiments/1/runs/r"
    assert run_page("http://x", "1", "r", "a b&c.png") == "http://x/#/experiments/1/runs/r/artifacts/a%20b%26c.png"
    assert file_address("http://x", ref, "a b&c.png") == "http://x/get-artifact?path=output/a%20b%26c.png&run_uuid=r"

"""Chromium over the pages of servers on loopback, where it and its driver are installed."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
MISSING = "Chromium and chromedriver are not installed"
needs_browser = pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason=MISSING)
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions")
QUIET = ("--disable-background-networking", "--disable-component-update", "--no-first-run")  # Chromium's own requests
PAGE_TIMEOUT_S = 300  # minutes where other work shares the cores
NAMED = """
const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode())
  if (walker.currentNode.textContent.trim() === arguments[0]) found.push(walker.currentNode.parentElement);
"""
CLICK = f"{NAMED} if (found.length) found.at(-1).click(); return found.length > 0"
SCROLL = f"{NAMED} if (found.length) found.at(-1).scrollIntoView({{block: 'start'}}); return found.length > 0"
TEXT = "return document.body ? document.body.innerText : ''"


class Browser:
    """One window, of a given size."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, url: str, *wanted: str) -> str:
        """Open a page and wait until all these texts are on it; gives the page's text."""
        self.driver.get("about:blank")  # so that an address that differs after the # only is loaded too
        self.driver.get(url)
        return self.wait_for(*wanted)

    def wait_for(self, *wanted: str) -> str:
        """Wait until all these texts are on the page; gives the page's text."""
        deadline, text = time.monotonic() + PAGE_TIMEOUT_S, ""
        while time.monotonic() < deadline:
            text = self.driver.execute_script(TEXT)
            if all(part in text for part in wanted):
                return text
            time.sleep(0.5)
        missing = [part for part in wanted if part not in text]
        raise AssertionError(f"not on {self.driver.current_url}: {missing}\n{text}")

    def click(self, label: str, *wanted: str) -> str:
        """Click what has this text and nothing else, and wait as `open` does."""
        self._at(CLICK, label)
        return self.wait_for(*wanted)

    def scroll_to(self, text: str) -> None:
        """Bring the last thing that has this text and nothing else to the top of the window."""
        self._at(SCROLL, text)

    def _at(self, script: str, text: str) -> None:
        deadline = time.monotonic() + PAGE_TIMEOUT_S
        while not self.driver.execute_script(script, text):
            assert time.monotonic() < deadline, f"nothing on {self.driver.current_url} reads {text}"
            time.sleep(0.5)

    def errors(self) -> list[str]:
        """What the console has complained about since it was asked the last time."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def hosts(self) -> set[str]:
        """Hosts that pages have asked since this was asked the last time."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return {urlsplit(url).hostname or "" for url in asked if urlsplit(url).scheme in {"http", "https", "ws", "wss"}}

    def save(self, path: Path) -> None:
        """A screenshot of the window."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.driver.save_screenshot(str(path))


@contextmanager
def browser(width: int, height: int) -> Iterator[Browser]:
    """A browser."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, *QUIET):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.set_page_load_timeout(PAGE_TIMEOUT_S)
    driver.set_script_timeout(PAGE_TIMEOUT_S)
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        yield Browser(driver)
    finally:
        driver.quit()

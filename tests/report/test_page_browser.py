"""The page in a real browser: Chromium, where one is installed."""

import json
import shutil

import pytest
from page_inputs import HOSTILE, write_sources

from polymlops.report.page import write_page
from polymlops.report.page_content import gather

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions")
WIDTHS = (400, 1400)
FACTS = """
const wide = document.documentElement;
const out = [...document.querySelectorAll("body *")].filter(
  item => item.getBoundingClientRect().right > innerWidth + 1 && !item.closest(".wide"));
return {
  overflow: wide.scrollWidth - wide.clientWidth,
  outside: out.map(item => item.tagName + " " + item.className),
  images: [...document.images].map(image => image.complete && image.naturalWidth > 100),
  title: document.title,
  text: document.body.innerText,
  scripts: document.scripts.length,
};
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="Chromium and chromedriver are not installed"),
]


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    return write_page(gather(write_sources(folder)), folder / "report.html")


def opened(browser, path, width, scheme="light"):
    """What the page is at a width, its console, and the addresses that it asked for."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get(path.as_uri())
    facts = browser.execute_script(FACTS)
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    return facts, browser.get_log("browser"), asked


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_is_whole_and_asks_for_nothing(browser, path, width):
    facts, console, asked = opened(browser, path, width)
    assert facts["overflow"] <= 0
    assert facts["outside"] == []
    assert len(facts["images"]) >= 6
    assert all(facts["images"])
    assert console == []
    assert path.as_uri() in asked
    assert [address for address in asked if address != path.as_uri() and not address.startswith("data:")] == []


def test_hostile_samples_run_nothing(browser, path):
    facts, _, _ = opened(browser, path, 1400)
    assert facts["title"] == "demo & more"
    assert facts["scripts"] == 0
    assert HOSTILE[0] in facts["text"]
    assert HOSTILE[1] in facts["text"]


def test_the_check_sees_a_page_that_misbehaves(browser, path, tmp_path):
    bad = tmp_path / "bad.html"
    markup = '<div style="width:3000px">x</div><img src="missing.png"><script>undefined_name()</script></body>'
    html = path.read_text(encoding="utf-8").replace("</body>", markup)
    bad.write_text(html.replace("default-src 'none'; img-src data:; style-src 'unsafe-inline'; ", ""), encoding="utf-8")
    facts, console, asked = opened(browser, bad, 400)
    assert facts["overflow"] > 2000
    assert not all(facts["images"])
    assert any("undefined_name" in entry["message"] for entry in console)
    assert any(address.endswith("missing.png") for address in asked)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser, path, scheme):
    opened(browser, path, 1400, scheme)
    colours = browser.execute_script(
        "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor].map("
        "c => c.match(/[0-9.]+/g).slice(0, 3).map(Number))"
    )
    assert contrast(*colours) >= 7


def test_it_prints(browser, path):
    opened(browser, path, 1400)
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})["data"]
    assert len(printed) > 50_000


def contrast(first, second):
    """WCAG's contrast ratio of two colours."""

    def luminance(colour):
        parts = [c / 255 for c in colour]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)

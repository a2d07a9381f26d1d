"""The page as a reader uses it, in headless Chromium, from a file, without a network."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from found import Found
from found import rows as found_rows
from made_up_run import HOSTILE, HOSTILE_ARM, ODD_ARM
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from headprune.report import write

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="no Chromium here: the report is not opened in a browser (Debian: apt-get install chromium chromium-driver)",
)
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--window-size=1280,900",
)
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
CELLS = 14  # of the made-up run; one of them failed
PICTURES = {"one_page": (2481, 3507), "pruning_cost": (2100, 2640), "pareto": (2100, 1260), "alone": (1020, 900)}


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    os.environ["SE_OFFLINE"] = "true"  # selenium looks for no driver of its own
    driver = Chrome(options=options, service=ChromeService(DRIVER))
    driver.set_page_load_timeout(30)
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium: Chrome, report: Path) -> Iterator[Chrome]:
    """The report, freshly opened; afterwards nothing may have gone wrong in it, been asked for, or been run."""
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chromium.get("about:blank")
    chromium.get_log("browser")
    chromium.get_log("performance")
    chromium.get(report.as_uri())
    yield chromium
    assert chromium.execute_script("return window.hacked") is None
    assert chromium.get_log("browser") == []
    requests = [entry["message"] for entry in chromium.get_log("performance")]
    asked = [text for text in requests if '"Network.requestWillBeSent"' in text]
    assert asked
    assert all('"url":"file:' in text or '"url":"data:' in text or '"url":"about:' in text for text in asked)
    assert not [text for text in requests if '"Network.loadingFailed"' in text]


def rows(browser: Chrome) -> list[list[str]]:
    script = "[...document.querySelectorAll('#table tbody tr')].map(tr => [...tr.cells].map(td => td.textContent))"
    return browser.execute_script(f"return {script}")


def texts(browser: Chrome, selector: str) -> list[str]:
    return [found.get_attribute("textContent") or "" for found in browser.find_elements(By.CSS_SELECTOR, selector)]


def column(browser: Chrome, name: str) -> list[str]:
    heads = browser.execute_script("return [...document.querySelectorAll('#table th')].map(th => th.dataset.key)")
    return [row[heads.index(name)] for row in rows(browser)]


def heading(browser: Chrome, key: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, f"th[data-key={key}]")


def choose(browser: Chrome, name: str, text: str) -> None:
    select = Select(browser.find_element(By.CSS_SELECTOR, f"select[name={name}]"))
    select.select_by_index([option.get_attribute("textContent") for option in select.options].index(text))


def counted(browser: Chrome) -> str:
    return browser.find_element(By.ID, "count").text


def wait(browser: Chrome, condition: Callable[[Chrome], object]) -> None:
    WebDriverWait(browser, 10, poll_frequency=0.05).until(condition)


def open_cell(browser: Chrome, label: str) -> None:
    """Follows the link of a row."""
    links = browser.find_elements(By.CSS_SELECTOR, "#table tbody a")
    link = next(link for link in links if link.get_attribute("aria-label") == label)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", link)
    link.click()
    wait(browser, lambda b: b.find_element(By.ID, "cell-title").text == label)


def test_sorting(browser: Chrome) -> None:
    assert len(rows(browser)) == CELLS
    assert heading(browser, "value").get_attribute("aria-sort") == "none"
    numbers = sorted([20, 22, 10, 12, 4, 15, 17, 19, 1.25, 0.75, 0.5, 0.75, 0.5])
    for direction, expected in (("ascending", numbers), ("descending", numbers[::-1])):
        heading(browser, "value").find_element(By.TAG_NAME, "button").click()
        assert heading(browser, "value").get_attribute("aria-sort") == direction
        *found, last = column(browser, "value")
        assert [float(text) for text in found] == expected
        assert last == "–"  # what has no value comes last, whatever the direction
    heading(browser, "method").find_element(By.TAG_NAME, "button").click()
    assert heading(browser, "value").get_attribute("aria-sort") == "none"
    assert column(browser, "method") == sorted(column(browser, "method"))


def test_filters(browser: Chrome) -> None:
    assert counted(browser) == f"Rows shown: {CELLS}, from {CELLS} of {CELLS} cells; 1 without a result."
    choose(browser, "track", "mt")
    choose(browser, "method", "magnitude")
    assert counted(browser) == f"Rows shown: 4, from 4 of {CELLS} cells; 1 without a result."
    choose(browser, "status", "failed")
    assert column(browser, "reason") == [f"no memory {HOSTILE}"]
    choose(browser, "status", "all")
    choose(browser, "budget", "6")
    choose(browser, "seed", "2")
    assert column(browser, "value") == ["12"]
    address = browser.current_url
    browser.find_element(By.CSS_SELECTOR, "#filters button[type=reset]").click()
    assert len(rows(browser)) == CELLS
    browser.get("about:blank")
    browser.get(address)  # the address holds the filters
    assert column(browser, "value") == ["12"]
    browser.find_element(By.CSS_SELECTOR, "#filters button[type=reset]").click()
    choose(browser, "metric", "latency_ms (batch 1)")
    assert set(column(browser, "value")) == {"3.33", "–"}
    choose(browser, "metric", "all")
    assert len(rows(browser)) == 2 * CELLS - 1
    choose(browser, "arm", HOSTILE_ARM)
    assert column(browser, "arm") == [HOSTILE_ARM] * 4


def test_search(browser: Chrome) -> None:
    field = browser.find_element(By.CSS_SELECTOR, "#filters input[type=search]")
    field.send_keys("MEMORY magn")
    assert column(browser, "status") == ["failed"]
    field.send_keys(Keys.CONTROL, "a", Keys.NULL, "nothing has this")
    assert counted(browser) == f"Rows shown: 0, from 0 of {CELLS} cells; 0 without a result."


def test_a_cell_is_shown_whole(browser: Chrome) -> None:
    label = f"dsp.{HOSTILE_ARM}, K = 6, seed 1"
    open_cell(browser, label)
    view = browser.find_element(By.ID, "cell")
    assert not browser.find_element(By.ID, "overview").is_displayed()
    assert browser.switch_to.active_element.get_attribute("id") == "cell-title"
    pictures = [svg.get_attribute("aria-label") for svg in view.find_elements(By.CSS_SELECTOR, "svg")]
    assert pictures == [
        "encoder heads kept, layer 0: 0, 1; layer 1: 0, 1",
        "cross heads kept, layer 0: 0, 1; layer 1: none",
        "decoder heads kept, layer 0: none; layer 1: none",
    ]
    assert len(view.find_elements(By.CSS_SELECTOR, "rect.kept")) == 6
    (first, *_, last) = view.find_elements(By.CSS_SELECTOR, ".texts tbody tr")
    shown = [cell.get_attribute("textContent") for cell in first.find_elements(By.TAG_NAME, "td")]
    assert shown == ["1", f"src 0 {HOSTILE}", f"tgt 0 {HOSTILE}", "the old word 0", f"the new {HOSTILE} word 0"]
    assert [mark.text for mark in first.find_elements(By.TAG_NAME, "del")] == ["old"]
    added = [mark.get_attribute("textContent") for mark in first.find_elements(By.TAG_NAME, "ins")]
    assert added == ["new", *HOSTILE.split()]
    assert last.find_element(By.TAG_NAME, "td").text == "25"
    assert "settings.updates: 30" in view.text
    assert "15" in view.text and "ratio" in view.text
    browser.back()
    wait(browser, lambda b: b.find_element(By.ID, "overview").is_displayed())
    assert browser.switch_to.active_element.get_attribute("aria-label") == label


def test_failure_and_log(browser: Chrome) -> None:
    open_cell(browser, "magnitude, K = 3, seed 2")
    text = browser.find_element(By.ID, "cell").get_attribute("textContent")
    assert f"no memory {HOSTILE}" in text
    assert f"Error: {HOSTILE}" in text
    assert f"last line {HOSTILE}" in text
    assert "Nothing was measured." in text
    browser.find_element(By.LINK_TEXT, "← All results").click()
    open_cell(browser, f"dsp.{HOSTILE_ARM}, K = 6, seed 1")
    text = browser.find_element(By.ID, "cell").get_attribute("textContent")
    assert "No log: no receipt in jobs/ names this cell." in text


def test_other_tracks(browser: Chrome) -> None:
    for track, expected in (("lm", ["1", "32", "−2", "−3", "−1"]), ("nli", ["1", HOSTILE, "0", "0"])):
        choose(browser, "track", track)
        open_cell(browser, "magnitude, K = 4, seed 1")
        assert texts(browser, ".texts:not(.sample) tbody tr:first-child td") == expected
        sample = [f"Once {HOSTILE}", f"upon 64 {HOSTILE}", f"upon 96 {HOSTILE}"]
        assert texts(browser, ".sample td") == (sample if track == "lm" else [])
        browser.find_element(By.LINK_TEXT, "← All results").click()
        wait(browser, lambda b: b.find_element(By.ID, "overview").is_displayed())
        assert set(column(browser, "track")) == {track}  # the filters are as they were


def test_addresses(browser: Chrome, report: Path) -> None:
    open_cell(browser, f"random.{ODD_ARM}, K = 3, seed 1")
    address = browser.current_url
    browser.get("about:blank")
    browser.get(address)
    assert browser.find_element(By.ID, "cell-title").text == f"random.{ODD_ARM}, K = 3, seed 1"
    for fragment in ("#cell/none", "#cell/%E0%A4%A", "#cell/<img src=x onerror=hacked=1>"):
        browser.get("about:blank")
        browser.get(report.as_uri() + fragment)
        assert browser.find_element(By.ID, "cell-title").text == "No such cell"
    browser.find_element(By.LINK_TEXT, "Claims").click()
    wait(browser, lambda b: b.find_element(By.ID, "claims").is_displayed())
    assert 0 <= browser.find_element(By.ID, "claims").rect["y"] - browser.execute_script("return scrollY") < 900


def test_keyboard_alone(browser: Chrome) -> None:
    def press(*keys: str) -> WebElement:
        browser.switch_to.active_element.send_keys(*keys)
        return browser.switch_to.active_element

    assert press(Keys.TAB).get_attribute("class") == "skip"
    press(Keys.ENTER)
    assert browser.switch_to.active_element.get_attribute("id") == "main"
    for _ in range(60):  # on through the page to the first heading of the table
        if press(Keys.TAB).find_element(By.XPATH, "..").get_attribute("data-key"):
            break
    focused = browser.switch_to.active_element
    assert focused.text == "track"
    assert focused.value_of_css_property("outline-style") == "solid"
    press(Keys.ENTER)
    assert heading(browser, "track").get_attribute("aria-sort") == "ascending"
    assert browser.switch_to.active_element == focused
    for _ in range(20):
        if press(Keys.TAB).get_attribute("aria-label"):
            break
    label = browser.switch_to.active_element.get_attribute("aria-label")
    press(Keys.ENTER)
    wait(browser, lambda b: b.find_element(By.ID, "cell-title").text == label)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone(scheme: str, browser: Chrome) -> None:
    """Nothing but boxes that scroll on their own is wider than the screen; text stands out from its ground."""
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    width = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    assert browser.execute_script(width) == [390, 390]
    ground = "return getComputedStyle(document.body).backgroundColor"
    assert browser.execute_script(ground) == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(21, 24, 28)")
    open_cell(browser, f"dsp.{HOSTILE_ARM}, K = 6, seed 1")
    assert browser.execute_script(width) == [390, 390]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_figures_grow_and_claims_open(browser: Chrome) -> None:
    button = browser.find_element(By.CSS_SELECTOR, "button.enlarge")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert browser.execute_script("return document.querySelector('.picture img').naturalWidth") == 1
    browser.execute_script("location.hash = '#claim-two'")  # in a part that is closed
    wait(browser, lambda b: b.find_element(By.ID, "claim-two").is_displayed())


@found_rows(
    Found(
        "a translation",
        "ms",
        "ms per sentence",
        "cost.measure: one sentence at a time",
        ("mt", "magnitude, K = 6, seed 1"),
    ),
    Found(
        "a language model",
        "ms",
        "ms per token",
        "cost.measure_streams: token by token",
        ("lm", "magnitude, K = 4, seed 1"),
    ),
)
def test_a_latency_says_what_it_is_of(found: Found, browser: Chrome) -> None:
    track, label = found.case
    choose(browser, "track", track)
    choose(browser, "metric", "latency_ms (batch 1)")
    assert set(column(browser, "unit")) - {""} == {found.right}
    open_cell(browser, label)
    assert found.right in browser.find_element(By.ID, "cell").text


def blank(width: int, height: int) -> bytes:
    """A white PNG, one bit a pixel."""
    rows = (b"\0" + b"\xff" * (-(-width // 8))) * height
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.fixture(scope="module")
def pictures(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report with pictures of the sizes that the figures have."""
    out = tmp_path_factory.mktemp("pictures")
    (out / "figures").mkdir()
    for name, size in PICTURES.items():
        (out / "figures" / f"{name}.png").write_bytes(blank(*size))
    return write(run, out)


@found_rows(
    Found("a phone", None, 1.0, "the pixels of the pictures", (390, 844)),
    Found("a small window", 1.92, 1.0, "the pixels of the pictures", (800, 600)),
    Found("a desktop", 2.35, 1.0, "the pixels of the pictures", (1280, 800)),
)
def test_pictures_keep_their_proportions(found: Found, chromium: Chrome, pictures: Path) -> None:
    """No picture is shown wider than its height allows; wrong: how many times one_page was, the worst."""
    width, height = found.case
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    chromium.get(pictures.as_uri())
    assert chromium.execute_script("return [innerWidth, innerHeight]") == [width, height]
    for name, (own_width, own_height) in PICTURES.items():
        box = f"document.querySelector('#figure-{name} img').getBoundingClientRect()"
        wide, high = chromium.execute_script(f"const box = {box}; return [box.width, box.height]")
        assert (wide / high) / (own_width / own_height) == pytest.approx(found.right, rel=0.02)
        assert wide <= min(width, own_width / 2 + 1)
        assert high <= 0.9 * height + 1
        # It is as large as the window or half its pixels allow.
        assert max(wide / width, high / height / 0.9, 2 * wide / own_width) > 0.8

"""The sign-in with a real browser: `make browser` runs it, with Chromium and its driver.

Its file name keeps it out of `make test`, which needs only Python.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import text_to_be_present_in_element
from selenium.webdriver.support.wait import WebDriverWait
from support.logging_in import free_callback_url, logging_in, oauth_settings
from support.running import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

    from sandbox import Sandbox

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=900,640",
)
TIMEOUT = 30


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    folder = os.environ.get("CHROMEWEBDRIVER")
    driver = shutil.which("chromedriver", path=folder) or shutil.which("chromedriver")
    assert program, "Chromium is not installed: apt-get install chromium"
    assert driver, "The driver of Chromium is not installed: apt-get install chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    chrome = webdriver.Chrome(options, webdriver.ChromeService(driver))
    chrome.set_page_load_timeout(TIMEOUT)
    yield chrome
    chrome.quit()


def find(browser: Chrome, selector: str) -> WebElement:
    """The first element that matches, as soon as the page has one."""
    elements = WebDriverWait(browser, TIMEOUT).until(
        lambda driver: driver.find_elements(By.CSS_SELECTOR, selector)
    )
    return elements[0]


def wait_for_text(browser: Chrome, selector: str, text: str) -> None:
    """Wait for a text: after a click, the previous page may still be shown for a moment."""
    WebDriverWait(browser, TIMEOUT).until(
        text_to_be_present_in_element((By.CSS_SELECTOR, selector), text),
        f"The page showed no {text!r} in {selector}",
    )


def enter_credentials(browser: Chrome, username: str, password: str) -> None:
    find(browser, "#username").send_keys(username)
    find(browser, "#password").send_keys(password)
    find(browser, "[value=sign-in]").click()


def color(browser: Chrome, scheme: str, selector: str) -> str:
    """The background colour in the light or the dark scheme."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    return find(browser, selector).value_of_css_property("background-color")


def test_who_signs_in_and_agrees_lets_the_tap_in(
    box: Sandbox, browser: Chrome, tmp_path: Path
) -> None:
    callback_url = free_callback_url(box)
    token_file = tmp_path / "tokens.json"
    settings = oauth_settings(box, callback_url=callback_url, token_file=str(token_file))
    with logging_in(tmp_path, settings, "--no-browser") as login:
        browser.get(login.url)
        enter_credentials(browser, box.username, "wrong")
        wait_for_text(browser, "[role=alert]", "is wrong")
        enter_credentials(browser, box.username, box.password)
        wait_for_text(browser, "ul, p", "Company")
        find(browser, "[value=allow]").click()
        wait_for_text(browser, "main.good h1", "You are signed in")
        wait_for_text(browser, "main.good dl", "Company")
        finished = login.finish()
    assert finished.returncode == 0, finished.stderr
    assert color(browser, "light", "body") != color(browser, "dark", "body")
    assert color(browser, "light", "main.good") != color(browser, "dark", "main.good")
    browser.save_screenshot(str(tmp_path / "done.png"))
    assert token_file.stat().st_mode & 0o777 == 0o600
    assert run({**settings, "entities": ["PX_SM_Users"]}).records("PX_SM_Users")


def test_who_says_no_reads_in_words_what_that_means(
    box: Sandbox, browser: Chrome, tmp_path: Path
) -> None:
    settings = oauth_settings(
        box, callback_url=free_callback_url(box), token_file=str(tmp_path / "tokens.json")
    )
    with logging_in(tmp_path, settings, "--no-browser") as login:
        browser.get(login.url)
        enter_credentials(browser, box.username, box.password)
        find(browser, "[value=deny]").click()
        wait_for_text(browser, "main.bad h1", "You are not signed in")
        wait_for_text(browser, "main.bad p", "denied on the consent page")
        finished = login.finish()
    assert finished.returncode == 78
    assert "denied on the consent page" in finished.stderr.splitlines()[-1]

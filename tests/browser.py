"""A real browser for pages: Chromium without a window, driven by selenium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import PATIENCE


@contextmanager
def opened(page: Path, *, width: int = 1200) -> Iterator[Any]:
    """The page in a browser, drawn; skips where there is none. What it logs as severe is an error of the test."""
    selenium = pytest.importorskip("selenium.webdriver", reason="pip install selenium")
    binary = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("no browser: apt install chromium chromium-driver")
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.support.ui import WebDriverWait

    options = selenium.ChromeOptions()
    options.binary_location = binary
    for each in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--window-size={width},1400",
    ):
        options.add_argument(each)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = selenium.Chrome(options=options, service=Service(driver))
    try:
        browser.get(page.as_uri())
        root = "return document.documentElement.dataset.ready"
        WebDriverWait(browser, PATIENCE).until(lambda each: each.execute_script(root))
        assert browser.execute_script(root) == "yes", browser.find_element("tag name", "main").text
        yield browser
        severe = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
        assert not severe, severe
    finally:
        browser.quit()

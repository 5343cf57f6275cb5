"""A headless Chromium that asks nobody but the pages it is sent to, for tests and the README's pictures."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-first-run",
)


def absent() -> str | None:
    """Why there is none, or None."""
    if shutil.which("chromium") and shutil.which("chromedriver"):
        return None
    return "no chromium and chromedriver on the PATH: `make engine` installs them"


@contextlib.contextmanager
def chromium(profile: Path, *, width: int, height: int) -> Iterator[Any]:
    """A driver whose logs hold what the pages said and asked for; `profile` is a folder that nobody else uses."""
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = shutil.which("chromium") or "chromium"
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for flag in [*FLAGS, f"--window-size={width},{height}", f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver") or "chromedriver"))
    driver.set_page_load_timeout(120)
    try:
        yield driver
    finally:
        driver.quit()

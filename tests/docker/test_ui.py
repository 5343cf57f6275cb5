"""MLflow's pages of the stack in a real Chromium, with and without the password."""

import json

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = pytest.mark.docker


@pytest.fixture
def browser(open_browser, tmp_path):
    """Knows no password of the test before."""
    with open_browser() as driver:
        yield driver
        driver.save_screenshot(str(tmp_path / "page.png"))


def test_with_the_password_the_page_shows_the_run(browser, up, trained_there):
    browser.get(up.uri.replace("http://", f"http://admin:{up.password}@"))
    run = json.loads(up.ask(f"/api/2.0/mlflow/runs/get?run_id={trained_there['run_id']}")[1])["run"]["info"]
    assert browser.title.endswith("MLflow")
    browser.get(f"{up.uri}/#/experiments/{run['experiment_id']}/runs/{trained_there['run_id']}")
    WebDriverWait(browser, 90).until(lambda page: "final/test/expression/accuracy" in page.page_source)


def test_without_it_there_is_no_page(browser, up):
    # Chromium without a person at its password window shows an empty page for a 401
    browser.get(up.uri)
    assert (browser.title, browser.find_element(By.TAG_NAME, "body").get_attribute("innerHTML")) == ("", "")

"""MLflow's own pages in a real Chromium: a run's metrics, and its figures in the artifact view."""

import json
import time

import pytest
from mlflow.entities import Param
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser(open_browser):
    with open_browser() as driver:
        yield driver


@pytest.fixture
def page(browser, trained_on_server, server, tmp_path):
    """Opens a page of the run and waits for a text on it."""

    def show(tab, *texts):
        experiment = trained_on_server.run().info.experiment_id
        browser.get(f"{server}/#/experiments/{experiment}/runs/{trained_on_server.run_id}{tab}")
        until(browser, lambda: [text for text in texts if text not in browser.page_source] == [], texts)
        return browser

    yield show
    browser.save_screenshot(str(tmp_path / "page.png"))


def until(browser, condition, what):
    WebDriverWait(browser, 60, ignored_exceptions=(Exception,)).until(lambda _: condition(), f"{what} did not show")


def test_the_page_of_a_run_lists_its_metrics_and_settings(page):
    page("", "mobilenetv3small improved seed 0", "final/test/expression/accuracy", "config/training.epochs")


@pytest.mark.parametrize(
    ("figure", "least"),
    [("confusion_matrix", 500), ("learning_curves", 500), ("worst_faces_expression", 500)],
)
def test_a_figure_opens_in_the_artifact_view(page, figure, least):
    browser = page(f"/artifacts/figures/{figure}.png", f"{figure}.png")

    def width():
        images = browser.find_elements(By.CSS_SELECTOR, "img")
        sizes = [browser.execute_script("return [arguments[0].naturalWidth, arguments[0].width]", i) for i in images]
        return max((natural for natural, shown in sizes if shown > 200), default=0)

    until(browser, lambda: width() > least, f"{figure}.png")
    time.sleep(0.5)  # for the screenshot


@pytest.fixture(scope="module")
def compared(trained_on_server, command, cache, server, tmp_path_factory):
    """A comparison run on the server: a version beside a twin of its run, so that no second training is needed."""
    folder = tmp_path_factory.mktemp("compared")
    client, run = trained_on_server.client, trained_on_server.run()
    tags = {name: text for name, text in run.data.tags.items() if not name.startswith("mlflow.")}
    twin = client.create_run(run.info.experiment_id, tags=tags).info.run_id
    client.log_batch(twin, params=[Param(name, text) for name, text in run.data.params.items()])
    for name in ("predictions/test.parquet", "history.csv"):
        client.log_artifact(twin, trained_on_server.file(name, folder), name.rpartition("/")[0] or None)
    client.set_terminated(twin)
    flags = [
        "--models",
        f"emotion/1,runs:/{twin}",
        "--tracking-uri",
        server,
        "--cache-dir",
        cache,
        "--out",
        folder / "out",
    ]
    done = command("compare", *flags, "--json", cwd=folder, PYTHONWARNINGS="")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((folder / "out" / "comparison.json").read_text())
    return client.get_model_version("emotion", "1").tags["comparison_run"]


def test_from_the_experiment_to_the_comparison_its_report_and_the_registered_model(
    browser, compared, trained_on_server, server
):
    experiment = trained_on_server.run().info.experiment_id

    def opened(address, *texts):
        browser.switch_to.default_content()
        browser.get(f"{server}/#/{address}")
        until(browser, lambda: all(text in browser.page_source for text in texts), texts)

    opened(f"experiments/{experiment}/runs", "compare emotion/1 and runs:/")
    opened(f"experiments/{experiment}/runs/{compared}", "difference/expression/accuracy", "compared_versions")
    opened(f"experiments/{experiment}/runs/{compared}", "No clear winner in", "The whole report")
    opened(f"experiments/{experiment}/runs/{compared}/artifacts/report.html", "report.html")
    until(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "iframe") != [], "the report's frame")
    browser.switch_to.frame(browser.find_elements(By.CSS_SELECTOR, "iframe")[0])
    until(browser, lambda: "no clear winner" in browser.page_source, "the report's verdict")
    opened("models/emotion/versions/1", "comparison_run", compared, "mobilenetv3small")

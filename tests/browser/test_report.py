"""The comparison's page in a real Chromium: quiet, alone with itself, accessible, sortable, printable."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from emotion_mlflow.plots.comparison import Picture
from emotion_mlflow.plots.style import canvas, dress
from emotion_mlflow.report.files import write_report

pytestmark = pytest.mark.browser

EVIL = ('<img src=x onerror="document.title=1">', '"><script>document.title=2</script>')
RULES = "return axe.run(document, {resultTypes: ['violations']}).then(found => found.violations)"


def make(*arguments, **changed):
    """The comparisons of the report's own tests, which lie in another folder."""
    path = Path(__file__).parents[1] / "report" / "conftest.py"
    spec = importlib.util.spec_from_file_location("comparisons", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make(*arguments, **changed)


@pytest.fixture(scope="module")
def browser(open_browser):
    with open_browser(width=1280, height=900) as driver:
        yield driver


@pytest.fixture(scope="module")
def axe():
    """axe-core as the package axe-playwright-python ships it; that package itself is not imported."""
    found = importlib.util.find_spec("axe_playwright_python")
    assert found is not None, "axe-playwright-python is a dev dependency: make install"
    return (Path(found.submodule_search_locations[0]) / "axe.min.js").read_text()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    def write(**changed):
        figure = canvas("A line", height=2)
        axes = figure.add_subplot()
        axes.plot(np.arange(3))
        dress(axes, x="epoch")
        pictures = {"line": Picture(figure=figure, alt="A line from 0 to 2", caption="It rises.")}
        folder = tmp_path_factory.mktemp("report") / "report"
        write_report(folder, make(**changed), pictures, ui="http://127.0.0.1:9")
        return (folder / "report.html").as_uri()

    return write


@pytest.fixture(scope="module")
def address(written):
    return written()


@pytest.fixture
def show(browser):
    def open_page(address, *, scheme="light", width=1280, media=""):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        for log in ("browser", "performance"):
            browser.get_log(log)
        browser.get(address)
        return browser

    yield open_page
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def column(page, table, place):
    cells = f"#{table} tbody tr > :nth-child({place})"
    return [cell.text.splitlines()[0] for cell in page.find_elements(By.CSS_SELECTOR, cells)]


def test_the_page_asks_for_nothing_and_reports_no_error(show, address):
    page = show(address)
    assert page.execute_script("return performance.getEntriesByType('resource').map(e => e.name)") == []
    asked = [
        entry["message"] for entry in page.get_log("performance") if "Network.requestWillBeSent" in entry["message"]
    ]
    assert [entry for entry in asked if '"url":"data:' not in entry and address not in entry] == []
    assert page.get_log("browser") == []


def test_the_figure_is_shown(show, address):
    page = show(address)
    assert page.execute_script("return document.querySelector('figure img').naturalWidth") == 1000


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault(show, address, axe, scheme, width):
    page = show(address, scheme=scheme, width=width)
    page.execute_script(axe)
    found = page.execute_script(RULES)
    assert [(each["id"], each["impact"], each["nodes"][0]["html"][:200]) for each in found] == []


def test_axe_would_find_a_fault(show, address, axe):
    page = show(address)
    page.execute_script(axe)
    page.execute_script("document.querySelector('figure img').removeAttribute('alt')")
    assert [each["id"] for each in page.execute_script(RULES)] == ["image-alt"]


@pytest.mark.parametrize("width", [1280, 400])
def test_only_tables_scroll_sideways(show, address, width):
    page = show(address, width=width)
    wide, seen = page.execute_script("const e = document.documentElement; return [e.scrollWidth, e.clientWidth]")
    assert wide == seen
    assert width - 20 < seen <= width  # a scroll bar may take its share


def test_a_table_is_sorted_from_the_keyboard(show, address):
    page = show(address)
    before = column(page, "primary", 1)
    button = page.find_element(By.CSS_SELECTOR, "#primary thead th:nth-child(4) button")
    head = page.find_element(By.CSS_SELECTOR, "#primary thead th:nth-child(4)")
    states = []
    orders = []
    for key in (Keys.ENTER, Keys.SPACE, Keys.ENTER):
        button.send_keys(key)
        states.append(head.get_attribute("aria-sort"))
        orders.append([float(text.replace("−", "-")) for text in column(page, "primary", 4)])
    assert states == ["ascending", "descending", "none"]
    rising = [-0.08, -0.03, -0.012, -0.001, 0.002, 0.1, 0.12, 0.15]
    assert orders[0] == rising
    assert orders[1] == rising[::-1]
    assert column(page, "primary", 1) == before


def test_words_sort_as_words_and_one_column_at_a_time(show, address):
    page = show(address)
    heads = page.find_elements(By.CSS_SELECTOR, "#primary thead th button")
    heads[1].send_keys(Keys.ENTER)
    heads[0].send_keys(Keys.ENTER)
    assert column(page, "primary", 1)[0] == "Arousal CCC"
    sorted_by = page.find_elements(By.CSS_SELECTOR, "#primary thead th:not([aria-sort=none])[aria-sort]")
    assert [head.text.split()[0] for head in sorted_by] == ["Metric"]


def test_the_first_stop_of_the_keyboard_skips_to_the_verdict(show, address):
    page = show(address)
    page.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    assert page.switch_to.active_element.text == "Skip to the verdict"
    page.switch_to.active_element.send_keys(Keys.ENTER)
    assert page.execute_script("return location.hash") == "#verdict"


def test_light_and_dark_differ(show, address):
    ground = "return getComputedStyle(document.body).backgroundColor"
    grounds = [show(address, scheme=scheme).execute_script(ground) for scheme in ("light", "dark")]
    assert grounds == ["rgb(252, 252, 250)", "rgb(20, 24, 27)"]


def test_on_paper_it_is_black_on_white_without_navigation(show, address):
    page = show(address, scheme="dark", media="print")
    look = "const s = getComputedStyle(document.querySelector(arguments[0]));"
    look += "return [s.display, s.color, s.backgroundColor]"
    assert page.execute_script(look, "nav")[0] == "none"
    assert page.execute_script(look, "body")[1:] == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
    printed = page.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})
    assert len(printed["data"]) > 10_000


def test_every_table_fits_on_a_sheet(show, address):
    page = show(address, media="print", width=690)  # A4 less its margins, at 96 dots an inch
    tables = "return [...document.querySelectorAll('table')].map(each => each.scrollWidth)"
    assert max(page.execute_script(tables)) <= 690


def test_names_that_are_html_stay_words(show, written):
    page = show(written(names=EVIL, data_name=EVIL[1], warnings=EVIL))
    assert EVIL[0] in page.title
    assert page.find_element(By.TAG_NAME, "h1").text == f"{EVIL[0]} and {EVIL[1]}"
    assert page.get_log("browser") == []


def test_a_script_that_is_not_the_page_s_own_is_not_run(show, address):
    page = show(address)
    page.execute_script(
        "const s = document.createElement('script'); s.textContent = 'document.title = 3'; document.body.append(s)"
    )
    assert page.title == "resnet50 and efficientnetb0: comparison"

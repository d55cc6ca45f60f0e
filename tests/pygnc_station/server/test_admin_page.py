"""The administration in a browser: sign-in by the form, rules and PINs by keyboard, in light and dark, on a phone."""

from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from pygnc_station.server import accounts
from pygnc_station.server.access import new_token
from pygnc_station.server.accounts import Role
from pygnc_station.server_settings import Alerts, ValueRule
from pygnc_station.store.calibrations import calibrations
from pygnc_station.store.readings import clock_ms
from tests.fakes.browser import chromium
from tests.programs import needs
from tests.pygnc_station.server.samples import Running, server
from tests.pygnc_station.server.test_colocation import fill_co_location
from tests.pygnc_station.store.samples import LAYOUT, new

pytestmark = [pytest.mark.slow, needs("chromium", "chromedriver"), pytest.mark.xdist_group("page")]
WORD = "correct horse battery"
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("browser") / "profile", "--window-size=1100,900") as driver:
        yield driver


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    alerts = Alerts(rules={"smog": ValueRule(["pm_2_5_ug_m3"], above=25.0)})
    with server(tmp_path_factory.mktemp("server"), open=False, alerts=alerts) as running:
        with running.store.writes() as connection:
            accounts.add_user(connection, "mary", WORD, Role.ADMINISTRATOR, clock_ms())
            accounts.add_user(connection, HOSTILE, WORD, Role.OPERATOR, clock_ms())
        running.new_key(HOSTILE)
        running.store.append(running.store.stream("OPC_7", LAYOUT), [new(0)])
        fill_co_location(running.store)
        yield running


@pytest.fixture
def browser(chrome: Chrome, there: Running) -> Iterator[Chrome]:
    """Browser in which mary has signed in by the form, with the keyboard."""
    chrome.get(f"{there.url}/admin")
    focus(chrome, "#user")
    press(chrome, "mary", Keys.TAB, WORD, Keys.ENTER)
    wait_for_page(chrome)
    chrome.get_log("browser")  # type: ignore[no-untyped-call]
    yield chrome
    chrome.delete_all_cookies()
    chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def press(browser: Chrome, *keys: str) -> None:
    for key in keys:
        browser.switch_to.active_element.send_keys(key)


def wait_for_page(browser: Chrome) -> None:
    WebDriverWait(browser, 30).until(lambda _: browser.execute_script("return document.body.dataset.ready"))


def wait_for_message(browser: Chrome, text: str) -> str:
    WebDriverWait(browser, 30).until(lambda _: text in browser.find_element(By.ID, "message").text)
    return browser.find_element(By.ID, "message").text


def table(browser: Chrome, name: str) -> str:
    return " ".join(browser.find_element(By.ID, name).text.split())


def focus(browser: Chrome, selector: str) -> None:
    browser.execute_script("document.querySelector(arguments[0]).focus()", selector)


def test_a_token_signs_in_by_the_form_of_the_page(chrome: Chrome, there: Running) -> None:
    chrome.get(there.url)
    focus(chrome, "#token")
    press(chrome, new_token(there.store, "me", clock_ms(), may_write=False), Keys.ENTER)
    WebDriverWait(chrome, 30).until(lambda _: chrome.title.endswith("Stations") and "sign" not in chrome.title)
    chrome.delete_all_cookies()


def test_rules_and_pins_are_made_with_the_keyboard(browser: Chrome, there: Running) -> None:
    assert "smog pm_2_5_ug_m3 above 25 for 15 min * held in the settings file" in table(browser, "rules")
    focus(browser, "#rule [name=name]")
    press(browser, "low cell", Keys.TAB, "cell_*_voltage_v", Keys.TAB, Keys.TAB, "below", Keys.TAB, "2.8", Keys.ENTER)
    wait_for_message(browser, "Rule low cell was saved.")
    assert "low cell cell_*_voltage_v below 2.8 for 15 min" in table(browser, "rules")
    focus(browser, "[data-key='Edit rule low cell']")
    press(browser, Keys.ENTER)
    assert browser.find_element(By.CSS_SELECTOR, "#rule [name=limit]").get_attribute("value") == "2.8"
    focus(browser, "#rule [name=clear]")
    press(browser, "2.7", Keys.ENTER)
    wait_for_message(browser, "clear = 2.7 must be not below below = 2.8")
    focus(browser, "#pin button")
    press(browser, Keys.ENTER)
    pin = wait_for_message(browser, "it is shown only now").split()[1].rstrip(",")
    assert len(pin) == 8
    assert "mary 127.0.0.1 Create a PIN for the registration of a station" in table(browser, "audit")
    assert pin not in table(browser, "audit")
    focus(browser, "#gadget [name=notes]")
    press(browser, "beside the door", Keys.ENTER)
    wait_for_message(browser, "The notes of OPC_7 were saved.")
    assert "OPC_7 – unknown beside the door" in table(browser, "gadgets")  # the status has stayed
    told = browser.get_log("browser")  # type: ignore[no-untyped-call]
    refused = [each for each in told if each["level"] == "SEVERE"]
    assert len(refused) == 1  # the rule
    assert "rules/low%20cell/" in refused[0]["message"]
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [each for each in loaded if not each.startswith(there.url)] == []


def test_a_co_location_is_compared_and_applied(browser: Chrome, there: Running) -> None:
    for name, chosen in (("gadget", "UNIT"), ("reference", "STATION")):
        Select(browser.find_element(By.CSS_SELECTOR, f"#colocation [name={name}]")).select_by_value(chosen)
    focus(browser, "#colocation button")
    press(browser, Keys.ENTER)
    wait_for_message(browser, "UNIT beside STATION: 402 hours on 20 days. Nothing was changed.")
    shown = " ".join(browser.find_element(By.ID, "comparison").text.split())
    assert "Fit value std. dev. gain 0.6" in shown
    assert "RMS 60.41 0.9269" in shown
    assert len(browser.find_elements(By.CSS_SELECTOR, "#residuals canvas")) == 2
    assert not browser.find_element(By.ID, "calibrations").is_displayed()
    browser.execute_script("document.querySelector('#apply [name=from]').value = '2026-01-01T00:00'")
    focus(browser, "#apply button")
    press(browser, Keys.ENTER)
    wait_for_message(browser, "Calibration 1 is in effect for values from 2026-01-01 00:00:00 UTC on.")
    assert "1 UNIT pm_2_5_ug_m3 2026-01-01 00:00:00 UTC 0.6" in table(browser, "calibrations")
    assert 'Calibrate a gadget by a reference beside it: gadget "UNIT"' in table(browser, "audit")
    with there.store.reads() as connection:
        (kept,) = calibrations(connection)
    assert (kept.gadget_id, kept.reference) == ("UNIT", "STATION")
    focus(browser, "[data-key='Remove calibration 1']")
    press(browser, Keys.ENTER)
    browser.switch_to.alert.accept()
    wait_for_message(browser, "Calibration 1 was removed.")


def test_names_never_become_markup(browser: Chrome) -> None:
    assert browser.find_elements(By.TAG_NAME, "img") == []
    assert HOSTILE in table(browser, "users")
    assert HOSTILE in table(browser, "gateways")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_administration_fits_a_phone(browser: Chrome, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": 360, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    assert browser.execute_script("return document.documentElement.scrollWidth") == 360
    unnamed = browser.execute_script(
        "return [...document.querySelectorAll('input, select, button')].filter(node => node.offsetParent"
        " && !node.labels?.length && !node.getAttribute('aria-label') && !node.textContent.trim()).length"
    )
    assert unnamed == 0


def test_a_page_whose_session_has_ended_becomes_the_sign_in_page(browser: Chrome) -> None:
    browser.delete_all_cookies()
    focus(browser, "#pin button")
    press(browser, Keys.ENTER)
    WebDriverWait(browser, 30).until(lambda _: browser.title == "Stations: sign in")


def test_signing_out_ends_the_session(browser: Chrome) -> None:
    focus(browser, "#sign-out")
    press(browser, Keys.ENTER)
    WebDriverWait(browser, 30).until(lambda _: browser.title == "Stations: sign in")

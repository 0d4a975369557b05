# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of an audit in a browser. Left out where there is no chromium."""

from __future__ import annotations

import pytest
from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_files import write_report
from ansible_collections.fleetpost.mail.tests.unit.plugins.plugin_utils.audit_fleet import AT, HOSTILE, fleet, health, host, planned
from ansible_collections.fleetpost.mail.tests.unit.plugins.plugin_utils.browser import PROGRAM, Browser

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    directory = tmp_path_factory.mktemp("audit")
    many = host("many.test", planned(), health(*({"name": f"d{number:04d}.test"} for number in range(3_000))))
    hostile = host(HOSTILE, planned((HOSTILE, HOSTILE, HOSTILE)), health({"name": HOSTILE, "problems": [HOSTILE]}))
    write_report(directory, [*fleet(), many, hostile], AT, ["drift"])
    return directory / "audit.html"


@pytest.fixture
def browser(page):
    with Browser() as browser:
        browser.open(page)
        yield browser


def names(browser):
    return browser.value("[...document.querySelectorAll('#results h3')].map((one) => one.firstChild.textContent.trim())")


def said(browser):
    return browser.value("document.getElementById('count').textContent")


def choose(browser, show=None, words=None, number=None):
    """Filters as a user would, and waits for what the page says."""
    steps = [f"document.querySelector('input[value={show}]').checked = true;"] if show else []
    steps += [f"document.getElementById('words').value = {words!r};"] if words is not None else []
    steps += [f"document.getElementById('host').value = '{number}';"] if number is not None else []
    browser.value("".join(steps) + "document.getElementById('filters').requestSubmit()")


def test_it_begins_with_what_is_wrong_and_runs_nothing_of_what_hosts_say(browser):
    assert names(browser) == ["changed.test", "new.test", "ill-domain.test", HOSTILE]
    assert said(browser) == "4 of 3,007 domains"
    assert browser.problems == []
    assert browser.value("document.querySelectorAll('main script, main img').length") == 0


def test_filters_and_words_are_held_against_names_hosts_and_problems(browser):
    choose(browser, "unhealthy")
    assert names(browser) == ["ill-domain.test", HOSTILE]
    choose(browser, "changes")
    assert names(browser) == ["changed.test", "new.test", HOSTILE]
    choose(browser, "off")
    assert names(browser) == ["b.well.test"]
    choose(browser, "all", "D0042 many")
    assert names(browser) == ["d0042.test"]
    choose(browser, "all", "carol")
    assert names(browser) == ["ill-domain.test"]
    choose(browser, "all", "nowhere")
    assert (names(browser), said(browser)) == ([], "No domain is like that.")
    choose(browser, "all", "", 0)
    assert names(browser) == ["a.well.test", "b.well.test"]


def test_of_many_domains_a_hundred_are_shown_and_the_focus_goes_on_with_the_next(browser):
    choose(browser, "all", "many.test")
    assert said(browser) == "3,000 of 3,007 domains"
    assert len(names(browser)) == 100
    assert browser.value("document.getElementById('more').textContent") == "Show 100 more of 2,900"
    browser.value("document.getElementById('more').click()")
    assert len(names(browser)) == 200
    assert browser.value("document.activeElement.querySelector('h3').firstChild.textContent.trim()") == "d0100.test"
    assert browser.problems == []


def test_the_keyboard_goes_to_the_search_first_and_by_a_link_past_the_rest(browser):
    for key in ("Tab", "Enter", "Tab"):
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            code = 9 if key == "Tab" else 13
            browser.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)
    assert browser.value("document.activeElement.id") == "words"


def test_without_scripts_the_form_is_not_there_and_the_problems_are(page):
    with Browser() as browser:
        browser.open(page, javascript=False)
        assert browser.value("getComputedStyle(document.getElementById('filters')).display") == "none"
        assert names(browser) == ["changed.test", "new.test", "ill-domain.test", HOSTILE]


@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_is_wider_than_the_window(page, width):
    with Browser(width=width) as browser:
        browser.open(page)
        assert browser.value("document.documentElement.scrollWidth") <= width


_CONTRAST = """
(() => {
  const part = (value) => { const v = value / 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; };
  const light = (c) => 0.2126 * part(c[0]) + 0.7152 * part(c[1]) + 0.0722 * part(c[2]);
  const color = (text) => text.match(/[\\d.]+/g).map(Number);
  const found = [];
  document.querySelectorAll('main *, header *, footer *').forEach((one) => {
    if (one.closest('svg') || !one.getClientRects().length) return;
    if (![...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) return;
    let back = one, over = [0, 0, 0, 0];
    while (back && over.length === 4 && over[3] === 0) { over = color(getComputedStyle(back).backgroundColor); back = back.parentElement; }
    const [a, b] = [light(color(getComputedStyle(one).color)), light(over)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(one.tagName + ' ' + one.className + ' ' + ratio.toFixed(2));
  });
  return [...new Set(found)];
})()
"""


@pytest.mark.parametrize("is_dark", [False, True])
def test_text_stands_out_from_its_ground(page, is_dark):
    with Browser(is_dark=is_dark) as browser:
        browser.open(page)
        browser.value("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert browser.value(_CONTRAST) == []

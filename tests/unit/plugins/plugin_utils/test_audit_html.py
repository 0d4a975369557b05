# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of an audit as text: what is in it, and that nothing from hosts ever is markup."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from ansible_collections.fleetpost.mail.plugins.plugin_utils import _audit_html
from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_files import NAMES, assets, write_report
from ansible_collections.fleetpost.mail.tests.unit.plugins.plugin_utils.audit_fleet import (
    AT,
    HOSTILE,
    change,
    failure,
    fleet,
    health,
    host,
    planned,
    well,
)

ALL = ("drift", "unhealthy", "unreachable")


class Read(HTMLParser):
    """The elements of a page: tags with their attributes, and the text of scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.texts = []
        self._inside = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside in ("script", "style"):
            self.texts.append((self._inside, data))


def page(hosts, fail_on=ALL):
    return "".join(_audit_html.page(hosts, AT, fail_on, assets()))


def hostile_fleet():
    bad = {"name": HOSTILE, "problems": [HOSTILE]}
    diff = {"path": HOSTILE, "before": f"{HOSTILE}\n", "after": f"{HOSTILE}: more\n"}
    everywhere = change(HOSTILE, item=HOSTILE, detail=HOSTILE, diff=[diff], role=HOSTILE)
    certificate = {"domains": [], "problems": [HOSTILE], "not_after": ""}
    return [
        host(
            HOSTILE,
            failure(HOSTILE),
            everywhere,
            planned((HOSTILE, HOSTILE, HOSTILE), diff=(diff,)),
            health(bad, certificates=(certificate,)),
        )
    ]


@pytest.mark.parametrize("hosts", [fleet(), hostile_fleet(), [well()]])
def test_there_is_no_markup_but_ours_and_nothing_from_outside(hosts):
    read = Read(page(hosts))
    assert [kind for kind, _text in read.texts] == ["style", "script", "script"]
    known = {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "a",
        "header",
        "main",
        "footer",
        "section",
        "script",
        "h1",
        "h2",
        "h3",
        "h4",
        "p",
    }
    known |= {
        "div",
        "span",
        "ul",
        "li",
        "dl",
        "dt",
        "dd",
        "strong",
        "time",
        "figure",
        "figcaption",
        "svg",
        "text",
        "rect",
        "table",
        "thead",
        "tbody",
    }
    known |= {
        "tr",
        "th",
        "td",
        "article",
        "details",
        "summary",
        "pre",
        "code",
        "ins",
        "del",
        "form",
        "label",
        "input",
        "fieldset",
        "legend",
        "select",
    }
    assert {tag for tag, _attributes in read.tags} <= known | {"option", "button"}
    for _tag, attributes in read.tags:
        assert not {name for name in attributes if name.startswith("on") or name in ("src", "style", "action")}
        assert attributes.get("href", "#").startswith("#")
    assert "url(" not in assets().style
    assert "@import" not in assets().style
    assert "innerHTML" not in assets().script


def test_the_policy_allows_the_script_and_the_style_by_their_hashes_and_nothing_else():
    read = Read(page([well()]))
    (policy,) = [attributes["content"] for tag, attributes in read.tags if attributes.get("http-equiv") == "Content-Security-Policy"]
    digests = {kind: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for kind, text in read.texts}
    allowed = f"style-src 'sha256-{digests['style']}'; script-src 'sha256-{digests['script']}'"
    assert policy == f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"


def test_the_data_of_the_script_is_what_was_found_whatever_the_names_are():
    text = _audit_html.data_of(hostile_fleet())
    assert not re.search("[<>&]", text)
    values = json.loads(text)
    assert values["hosts"][0]["name"] == HOSTILE
    (row,) = values["hosts"][0]["domains"]
    assert row[:4] == [HOSTILE, _audit_html.UNHEALTHY | _audit_html.CHANGES, 2, [HOSTILE]]


def test_rows_of_the_data_say_how_a_domain_is_and_share_their_commands():
    values = json.loads(_audit_html.data_of(fleet()))
    rows = {row[0]: row for one in values["hosts"] for row in one["domains"]}
    assert rows["a.well.test"] == ["a.well.test", 0, 2]
    assert rows["b.well.test"] == ["b.well.test", _audit_html.OFF, 2]
    assert rows["new.test"][1] == _audit_html.CHANGES | _audit_html.NEW
    assert rows["changed.test"][6] == rows["new.test"][6] == [0]
    assert len(values["commands"]) == 1 + len(rows["ill-domain.test"][6])


def test_flags_are_the_same_in_the_script():
    (line,) = re.findall(r"const (UNHEALTHY.*);", assets().script)
    values = dict(part.split(" = ") for part in line.split(", "))
    assert {name: int(value) for name, value in values.items()} == {
        name: getattr(_audit_html, name) for name in ("UNHEALTHY", "CHANGES", "OFF", "NEW")
    }


@pytest.mark.parametrize(
    ("hosts", "fail_on", "words"),
    [
        ([well()], ALL, "Everything is as it is declared, and healthy."),
        (fleet(), ALL, "The audit failed."),
        (fleet(), (), "The audit found something."),
        (fleet(), ("drift",), "(does not fail the audit)"),
    ],
)
def test_the_verdict_is_the_first_thing_that_is_said(hosts, fail_on, words):
    assert words in page(hosts, fail_on).partition("<main>")[0]


def test_without_the_script_hosts_and_the_first_domains_with_problems_are_there():
    text = page(fleet()).partition('<script type="application/json"')[0]
    for word in ("well.test", "no route to host", "default_action: reject -&gt; discard", "-a = 1", "owner bob", "ill-domain.test"):
        assert word in text
    assert "a.well.test" not in text


def test_the_row_of_a_host_says_how_it_and_its_domains_are():
    badges = [re.findall(r'badge [a-z]+">([^<]+)<', row) for row in re.findall(r"<tr id=.*?</tr>", page(fleet()))]
    assert badges == [["as declared"], ["would change"], ["not healthy"], ["not audited wholly"], ["not reached"]]


def test_a_large_fleet_stays_a_small_page_without_the_script():
    domains = [{"name": f"d{number}.test", "problems": ["ill"]} for number in range(2_000)]
    hosts = [host(f"h{number:03d}.test", failure("x"), health(*(domains if number == 0 else ()))) for number in range(500)]
    text = page(hosts)
    assert text.count('<article class="domain">') == _audit_html.STATIC_DOMAINS
    assert text.count('<article class="host"') == _audit_html.STATIC_HOSTS
    assert text.count("<tr id=") == 500
    assert "The first 100 of 2,000 domains with problems or changes; all are in the JSON file." in text
    assert "Details of the first 200 of 500 hosts follow; all are in the JSON file." in text


def test_everything_has_a_name_for_who_does_not_see_the_page():
    read = Read(page(fleet()))
    identities = [attributes["id"] for _tag, attributes in read.tags if "id" in attributes]
    assert len(identities) == len(set(identities))
    for tag, attributes in read.tags:
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in identities
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in identities
        if tag == "svg":
            assert attributes["role"] == "img"
            assert attributes["aria-label"]
    labels = {attributes.get("for") for tag, attributes in read.tags if tag == "label"}
    assert {"words", "host"} <= labels
    assert [tag for tag, _attributes in read.tags if tag in ("h1", "main", "header", "footer")] == ["header", "h1", "main", "footer"]


def test_files_are_for_their_user_alone_and_replace_those_of_an_earlier_audit(tmp_path):
    for hosts in (fleet(), [well()]):
        files = write_report(tmp_path / "new" / "reports", hosts, AT, ALL)
    assert sorted(path.name for path in (tmp_path / "new" / "reports").iterdir()) == sorted(NAMES.values())
    for path in (tmp_path / "new" / "reports").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads((tmp_path / "new" / "reports" / "audit.json").read_text())["totals"]["hosts"] == 1
    assert set(files) == {"html", "json", "junit"}

# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The charts of the audit."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_charts import Bar, ages_of_keys, chart, ends_by_week, seconds_of

NOW = seconds_of("2026-11-27T08:00:00Z")


def counts(bars):
    return {one.label: one.number for one in bars if one.number}


def test_certificates_are_counted_by_the_week_from_now_that_they_end_in():
    moments = [
        "2026-11-27T08:00:00Z",
        "2026-11-27T08:00:01Z",
        "2026-12-04T07:59:59Z",
        "2026-12-04T08:00:00Z",
        "2027-02-26T08:00:00Z",
        "",
        "",
    ]
    bars = ends_by_week(moments, NOW)
    assert counts(bars) == {"ended": 1, "Nov 27 to Dec 03": 2, "Dec 04 to Dec 10": 1, "later": 1}
    assert [one.label for one in bars if one.is_bad] == ["ended", "Nov 27 to Dec 03", "Dec 04 to Dec 10"]


def test_keys_are_counted_by_their_age():
    moments = ["2026-11-27T08:00:00Z", "2026-10-01T00:00:00Z", "2024-11-01T00:00:00Z", "2020-01-01T00:00:00Z", ""]
    assert counts(ages_of_keys(moments, NOW)) == {"under 1 month": 1, "1 to 3 months": 1, "over 2 years": 2}


def test_nothing_to_count_is_no_chart_but_words():
    assert ends_by_week([""], NOW) == ages_of_keys([], NOW) == []
    assert "".join(chart("Title", "keys", [], "None <seen>.")) == "<figure><figcaption>Title</figcaption><p>None &lt;seen&gt;.</p></figure>"


def test_a_chart_is_told_in_words_and_its_bars_fit():
    figure = ET.fromstring("".join(chart("Ends", "certificates", [Bar("a<b", 10), Bar("c", 0), Bar("d", 5, True)], "")))
    picture = figure.find("svg")
    assert picture.get("aria-label") == "Ends, certificates: a<b: 10; d: 5"
    widths = [(one.get("class"), float(one.get("width"))) for one in picture.iter("rect")]
    assert widths == [("bar", 200.0), ("bar bad", 100.0)]
    assert [text.text for text in picture.iter("text") if text.get("class") == "number"] == ["10", "0", "5 !"]

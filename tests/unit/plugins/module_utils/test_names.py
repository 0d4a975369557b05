# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import unicodedata

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils import _names
from hypothesis import given, settings
from hypothesis import strategies as st

# What nobody may get into a table: line breaks, separators, expansions, pipes, includes, paths, lookalikes.
HOSTILE = [
    "a\nb",
    "\n",
    "a:b",
    "${run{/bin/false}}",
    "$domain",
    "|/bin/sh",
    ":include:/etc/passwd",
    ":blackhole:",
    "/etc/passwd",
    "..",
    "../../etc",
    ".",
    "",
    " ",
    "a b",
    "a\tb",
    "a\x00b",
    "a\x1bb",
    "a\x7fb",
    "a\x85b",
    "a\u2028b",
    "a\u200bb",
    "a\u00a0b",
    "\ufeffa",
    "a;b",
    'a"b',
    "a\\b",
    "a,b",
    "a{b",
    "a}b",
    "<a>",
    "a(b)",
    "\u0661\u0662",
    "\uff41\uff42",
    "\u212a",
    "\ud800",
]
GRAMMARS = {
    "domain_name": (_names.domain_name, "{}.test"),
    "local_part": (_names.local_part, "{}"),
    "address local part": (_names.address, "{}@example.test"),
    "address domain": (_names.address, "info@{}.test"),
    "forward_address local part": (_names.forward_address, "{}@example.test"),
    "forward_address domain": (_names.forward_address, "info@{}.test"),
    "sender_pattern": (_names.sender_pattern, "{}@example.test"),
    "sender_pattern of a domain": (_names.sender_pattern, "*@{}.test"),
    "listed_sender": (_names.listed_sender, "{}@example.test"),
    "listed_sender of a domain alone": (_names.listed_sender, "{}.test"),
    "listed_sender of a whole domain": (_names.listed_sender, "*@{}.test"),
    "listed_sender below a domain": (_names.listed_sender, ".{}.test"),
    "listed_host": (_names.listed_host, "{}"),
    "listed_host network": (_names.listed_host, "192.0.2.0/{}"),
    "ip_address": (_names.ip_address, "{}"),
    "quota": (_names.quota, "1{}M"),
    "owner_name": (_names.owner_name, "{}"),
}


def cases() -> list[object]:
    # Kelvin's sign is the letter k in capitals, which a domain may hold in any case.
    harmless = {("domain", "\u212a"), ("quota", " "), ("quota", "")}
    return [
        pytest.param(grammar, template.format(text), id=f"{name}-{text!r}")
        for name, (grammar, template) in GRAMMARS.items()
        for text in HOSTILE
        if not any(name.startswith(kind) or kind in name for kind, spared in harmless if spared == text)
    ]


@pytest.mark.parametrize(("grammar", "text"), cases())
def test_no_grammar_lets_hostile_text_pass(grammar, text):
    with pytest.raises(ValueError, match=r"\w"):
        grammar(text)


@pytest.mark.parametrize(("grammar", "text"), cases())
def test_an_error_shows_what_was_written_without_its_control_characters(grammar, text):
    with pytest.raises(ValueError, match=r"\w") as caught:
        grammar(text)
    assert str(caught.value).isprintable()


VALID = {
    "domain_name": (_names.domain_name, "example.com"),
    "local_part": (_names.local_part, "info"),
    "address": (_names.address, "info@example.com"),
    "forward_address": (_names.forward_address, "info@example.com"),
    "sender_pattern": (_names.sender_pattern, "*@example.com"),
    "listed_sender": (_names.listed_sender, "info@example.com"),
    "listed_sender of a domain": (_names.listed_sender, "example.com"),
    "listed_sender below a domain": (_names.listed_sender, ".example.com"),
    "listed_host": (_names.listed_host, "192.0.2.1"),
    "listed_host network": (_names.listed_host, "2001:db8::/32"),
    "ip_address": (_names.ip_address, "192.0.2.1"),
    "owner_name": (_names.owner_name, "alice"),
    "password_hash": (_names.password_hash, "{BLF-CRYPT}$2y$05$abc"),
    "crypt hash": (_names.password_hash, "$6$salt$abc"),
    "absolute_path": (_names.absolute_path, "/srv/archive"),
}


# A directory's name may end with a space.
ENDS = [
    (name, end) for name in VALID for end in ("\n", "\r", "\r\n", "\x00", "\x0b", " ", "\u2028") if (name, end) != ("absolute_path", " ")
]


@pytest.mark.parametrize(("name", "end"), ENDS)
def test_nothing_may_follow_a_name_not_even_a_line_break(name, end):
    grammar, text = VALID[name]
    with pytest.raises(ValueError, match=r"\w"):
        grammar(text + end)


@pytest.mark.parametrize("name", VALID)
def test_a_stored_form_is_its_own_stored_form(name):
    grammar, text = VALID[name]
    assert grammar(grammar(text)) == grammar(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("localhost", "it has no dot"),
        ("example..com", "empty label"),
        (".example.com", "empty label"),
        ("example.com.", "empty label"),
        (f"{'a' * 64}.test", "the label aaaaaaaaaaaaaaaaaaaa... has 64 characters, at most 63"),
        (".".join(["a" * 60] * 5), "it has 304 characters, at most 253"),
        ("-a.test", "only letters, digits and inner hyphens"),
        ("a-.test", "only letters, digits and inner hyphens"),
        ("a_b.test", "only letters, digits and inner hyphens"),
        ("192.0.2.1", "is not a domain name"),
        ("*.example.com", "only letters, digits and inner hyphens"),
        ("[192.0.2.1]", "only letters, digits and inner hyphens"),
    ],
)
def test_a_wrong_domain_name_is_told_with_its_reason(text, reason):
    with pytest.raises(ValueError, match=r"\w") as caught:
        _names.domain_name(text)
    assert reason in str(caught.value)


def test_the_longest_domain_name_has_253_characters():
    longest = ".".join(["a" * 63] * 3 + ["b" * 61])
    assert _names.domain_name(longest) == longest
    with pytest.raises(ValueError, match="254 characters"):
        _names.domain_name(longest + "b")


def test_a_domain_name_is_stored_in_lower_case():
    assert _names.domain_name("Example.COM") == "example.com"


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("Exämple.test", "xn--exmple-cua.test"),
        ("EXÄMPLE.TEST", "xn--exmple-cua.test"),
        ("exa\u0308mple.test", "xn--exmple-cua.test"),
        ("XN--exmple-CUA.test", "xn--exmple-cua.test"),
        ("straße.test", "xn--strae-oqa.test"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("βόλος.test", "xn--nxasmm1c.test"),
        ("مث\u0627ل.test", "xn--mgbh0fb.test"),
        ("דוגמה.test", "xn--6dbbec0c.test"),
        ("мир.test", "xn--h1ahn.test"),
    ],
)
def test_an_international_name_is_stored_as_its_a_label(text, stored):
    assert _names.domain_name(text) == stored


@pytest.mark.parametrize(
    "text",
    [
        "xn--.test",
        "xn--a.test",
        "xn--abc-.test",
        "xn--exmple-cua\u00e4.test",
        "xn--99999999.test",
        "xn--zzzzzzzzzzzz.test",
        "ab--cd.test",
        "xn--EXMPLE-cu\u00e4.test",
        "☃.test",
        "\uff41\uff42.test",
        "\u017ftrasse.test",
        "ﬁrma.test",
        "\u0301a.test",
        "-ä.test",
        "ä-.test",
        "xx--ä.test",
        "a\u05d0.test",
        "\u05d0a.test",
        "\u0661\u06f1\u0627.test",
        "a\u200dä.test",
        "ä。test",
        "a\u00b7ä.test",
        "\u1100a.test",
        "\u0640\u0627.test",
    ],
)
def test_what_idna_2008_does_not_allow_is_refused(text):
    with pytest.raises(ValueError, match=r"\w"):
        _names.domain_name(text)


INTERNATIONAL = st.text(
    st.one_of(
        st.characters(min_codepoint=0xA0, max_codepoint=0x2FFF),
        st.sampled_from("aä-1ßא\u0627\u0660\u06f0\u0301\u200d"),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=300, deadline=None)
@given(INTERNATIONAL)
def test_international_names_are_encoded_as_the_idna_package_does(label):
    idna = pytest.importorskip("idna")
    lowered = unicodedata.normalize("NFC", label.lower())
    try:
        ours = _names.domain_name(f"{label}.test")
    except ValueError:
        return
    if "." not in lowered and not lowered.isascii():
        assert ours == idna.encode(f"{lowered}.test").decode()


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80))
def test_whatever_is_stored_as_a_domain_name_holds_only_letters_digits_hyphens_and_dots(text):
    try:
        stored = _names.domain_name(text)
    except ValueError:
        return
    assert set(stored) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80), st.sampled_from(["local_part", "address local part", "forward_address local part"]))
def test_whatever_is_stored_as_an_address_is_one_plain_word(text, name):
    grammar, template = GRAMMARS[name]
    try:
        stored = grammar(template.format(text))
    except ValueError:
        return
    assert stored.isascii()
    assert stored.isprintable()
    assert not set(stored) & set(' :;,"\\/|${}()<>[]`!#%')
    assert not stored.startswith((".", "-") if name != "forward_address local part" else ".")


# What Exim's lists take for something else than an address, a domain or a network.
OF_EXIMS_LISTS = [
    *("!x@b.test", "! b.test", "+relay_hosts", "+x@b.test", "+caseful", "^x@b.test", r"^.*@b\.test$", "*", "*@", "@", "@@lsearch;/x"),
    *("lsearch;/etc/passwd", "net-lsearch;/x", "partial-lsearch;/x", "@[]", "@mx_any", ":", "", ";", "x@b.test ; y@b.test", "x@*"),
    *("*x@b.test", "x*@b.test", "*.b.test", "*@*", "*@*.", "*@.b.test", "*@*.*.b.test", "x@.b.test", ".test", "test", "..b.test"),
    *(r"\N^x\N", "$sender_host", "${lookup{x}}", "/etc/x", "192.0.2.1@b.test@", "b.test:c.test", "<;b.test", "b.test#"),
]


@pytest.mark.parametrize("text", OF_EXIMS_LISTS)
def test_nothing_that_exims_lists_take_for_something_else_stands_in_a_list_of_senders(text):
    with pytest.raises(ValueError, match=r"\w"):
        _names.listed_sender(text)


@pytest.mark.parametrize(
    "text",
    [
        *(text for text in OF_EXIMS_LISTS if text != "b.test#"),
        *("b.test", "localhost", "0/0", "192.0.2", "192.0.2.256", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/", "192.0.2.0/24/24"),
        *("192.0.2.0/255.255.255.0", "192.0.2.0/0.0.0.255", "192.0.2.0/ 24", "2001:db8::/129", "fe80::1%eth0", "[2001:db8::1]", "1"),
        *("::ffff:192.0.2.1", "::ffff:c000:200/120", "192.0.2.1.", "0xc0.0.2.1", "!192.0.2.1", "192.0.2.1 ; 192.0.2.2", "/24"),
    ],
)
def test_only_addresses_and_networks_stand_in_a_list_of_hosts(text):
    with pytest.raises(ValueError, match=r"\w"):
        _names.listed_host(text)


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("Alice@Example.NET", "alice@example.net"),
        ("o'hara+list=x@b.test", "o'hara+list=x@b.test"),
        ("Example.NET", "*@example.net"),
        ("*@Exämple.test", "*@xn--exmple-cua.test"),
        (".Example.NET", "*@*.example.net"),
        ("*@*.example.net", "*@*.example.net"),
    ],
)
def test_senders_in_a_list_have_one_stored_form(text, stored):
    assert _names.listed_sender(text) == stored


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("192.0.2.7/32", "192.0.2.7"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:0DB8:0:0::/32", "2001:db8::/32"),
        ("2001:db8::1/128", "2001:db8::1"),
        ("::1", "::1"),
    ],
)
def test_hosts_in_a_list_have_one_stored_form(text, stored):
    assert _names.listed_host(text) == stored


def test_a_network_with_more_bits_is_told_which_network_it_would_be():
    with pytest.raises(ValueError, match=r"the one that holds 192\.0\.2\.77 is 192\.0\.2\.64/26"):
        _names.listed_host("192.0.2.77/26")
    with pytest.raises(ValueError, match=r"is 2001:db8::/32"):
        _names.listed_host("2001:db8::1/32")


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60), st.sampled_from(["{}", "{}@b.test", "*@{}", ".{}.test", "x@{}.test", "{}/24", "2001:{}"]))
def test_whatever_is_stored_in_a_list_is_an_address_a_domain_or_a_network(text, template):
    for grammar, form in (
        (_names.listed_sender, r"(\*@(\*\.)?|[a-z0-9_'=~&-][a-z0-9_'+=~&.-]*@)[a-z0-9-]+(\.[a-z0-9-]+)+"),
        (_names.listed_host, r"[0-9.]+(/[0-9]+)?|[0-9a-f]*:[0-9a-f:]*(/[0-9]+)?"),
    ):
        try:
            stored = grammar(template.format(text))
        except ValueError:
            continue
        assert re.fullmatch(form, stored)
        assert grammar(stored) == stored


@pytest.mark.parametrize("text", ["info", "first.last", "a-b_c", "_dmarc", "7"])
def test_usual_local_parts_are_taken(text):
    assert _names.local_part(text) == text


def test_a_local_part_is_stored_in_lower_case():
    assert _names.local_part("First.Last") == "first.last"


@pytest.mark.parametrize("text", [".a", "a.", "a..b", "-a", "'a", "a" * 65])
def test_local_parts_that_are_no_dot_atom_are_refused(text):
    with pytest.raises(ValueError, match="is not a local part"):
        _names.local_part(text)


def test_a_plus_in_a_local_part_is_told_to_belong_to_the_sender():
    with pytest.raises(ValueError, match="declare NAME"):
        _names.local_part("info+news")


def test_the_longest_local_part_has_64_characters():
    assert _names.local_part("a" * 64) == "a" * 64


def test_a_forward_target_keeps_the_case_of_its_local_part():
    assert _names.forward_address("First.Last+tag@EXAMPLE.com") == "First.Last+tag@example.com"


def test_an_address_without_an_at_is_told_so():
    with pytest.raises(ValueError, match="it has no @"):
        _names.address("example.com")


def test_only_the_last_at_parts_an_address():
    with pytest.raises(ValueError, match="local part"):
        _names.address("a@b@example.com")


@pytest.mark.parametrize(
    ("text", "stored"),
    [("192.0.2.1", "192.0.2.1"), ("2001:DB8:0:0:0:0:0:10", "2001:db8::10")],
)
def test_an_ip_address_is_stored_in_its_canonical_form(text, stored):
    assert _names.ip_address(text) == stored


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0",
        "::",
        "::ffff:192.0.2.1",
        "224.0.0.1",
        "ff02::1",
        "fe80::1%eth0",
        "192.0.2.1/24",
        "192.0.2",
        "192.0.2.01",
        "256.0.0.1",
        "1",
    ],
)
def test_what_can_send_no_mail_is_no_sending_address(text):
    with pytest.raises(ValueError, match=r"sending address|not an IPv4 or IPv6"):
        _names.ip_address(text)


@pytest.mark.parametrize(
    ("text", "stored"),
    [("500M", "500M"), ("2g", "2G"), ("2 GiB", "2G"), ("10 MB", "10M"), ("8388607T", "8388607T"), ("1024k", "1024K")],
)
def test_a_quota_is_a_number_and_a_binary_unit(text, stored):
    assert _names.quota(text) == stored


@pytest.mark.parametrize("text", ["0", "none", "None", "unlimited"])
def test_a_quota_of_nothing_is_no_limit(text):
    assert _names.quota(text) == ""


@pytest.mark.parametrize(
    "text", ["-1G", "1.5G", "1,5G", "G", "500", "500B", "1P", "0x10M", "\u0661G", "1G2G", "lots", "007M", "1e3M", "1 G B", "1G\u0131b"]
)
def test_quota_nonsense_is_refused(text):
    with pytest.raises(ValueError, match="is not a quota"):
        _names.quota(text)


@pytest.mark.parametrize("text", ["8388608T", "999999999999999T", "900719925474099G"])
def test_a_quota_that_no_server_can_count_is_refused(text):
    with pytest.raises(ValueError, match=r"8 EiB"):
        _names.quota(text)


@pytest.mark.parametrize("text", ["alice", "www-alice", "_alice", "alice.b", "a" * 32])
def test_usual_user_names_are_owners(text):
    assert _names.owner_name(text) == text


@pytest.mark.parametrize("text", ["1000", "-alice", ".alice", "a" * 33, "alice$", "älice", "root:x"])
def test_what_useradd_would_refuse_is_no_owner(text):
    with pytest.raises(ValueError, match="is not the name of a system user"):
        _names.owner_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "{BLF-CRYPT}$2y$05$abcdefghijklmnopqrstuv",
        "{SHA512-CRYPT}$6$salt$abc./",
        "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$c2FsdA$aGFzaA",
        "{SSHA256.b64}c2FsdHNhbHQ=",
        "{PLAIN-MD5}5f4dcc3b5aa765d61d8327deb882cf99",
    ],
)
def test_a_hash_as_doveadm_prints_it_is_taken_as_it_is(text):
    assert _names.password_hash(text) == text


def test_a_crypt_hash_gets_its_scheme():
    assert _names.password_hash("$6$salt$abc") == "{CRYPT}$6$salt$abc"


@pytest.mark.parametrize("text", ["{PLAIN}secret", "{plain}secret", "{CLEARTEXT}secret", "{PLAIN.b64}c2VjcmV0", "{CLEAR.hex}00"])
def test_a_scheme_that_keeps_the_password_readable_is_refused(text):
    with pytest.raises(ValueError, match="keeps the password readable"):
        _names.password_hash(text)


@pytest.mark.parametrize(
    "text", ["secret-hash", "{BLF-CRYPT}", "{}x", "{A}a:b", "{A}a b", "{A}a\nb", "{A}ä", "{A b}x", "{A}x}y", "{A}x{y", ""]
)
def test_what_is_no_hash_is_refused_without_being_shown(text):
    with pytest.raises(ValueError, match="not a password hash") as caught:
        _names.password_hash(text)
    assert "secret" not in str(caught.value)


def test_a_locked_hash_is_refused_because_enabled_says_that():
    with pytest.raises(ValueError, match="enabled: false"):
        _names.password_hash("!{BLF-CRYPT}$2y$05$abc")


@pytest.mark.parametrize("text", ["relative", "", "/", "//srv", "/srv/", "/srv/../etc", "/srv/./x", "/srv\n", "~/x", "/a\x00b"])
def test_an_archive_directory_is_an_absolute_plain_path(text):
    with pytest.raises(ValueError, match="is not an absolute path"):
        _names.absolute_path(text)


@pytest.mark.parametrize("text", ["host.local", "a.b.invalid", "x.onion", "1.in-addr.arpa", "mail.internal", "a.localhost"])
def test_names_that_an_rfc_sets_aside_are_reserved(text):
    assert _names.is_reserved(text)


@pytest.mark.parametrize("text", ["example.com", "local.test", "invalid.example.org"])
def test_names_that_people_register_are_not_reserved(text):
    assert not _names.is_reserved(text)


def test_a_long_text_is_shortened_in_a_message():
    assert len(_names.printable("x" * 1000)) < 90

# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Viruses and spam: what is refused in SMTP, what is put aside, marked, dropped or passed, for every recipient as he wants it."""

from __future__ import annotations

import base64
import io
import zipfile
from typing import NamedTuple

import pytest
from hosts import Host, once
from mail import Letter, Sent, letter, send_and_find

# Test strings, from halves so that no scanner stops at this file.
EICAR = r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR" + "-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*" + "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


def _zipped() -> str:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("invoice.com", EICAR)
    text = base64.encodebytes(packed.getvalue()).decode()
    return f'Content-Type: application/zip; name="a.zip"\nContent-Transfer-Encoding: base64\n\n{text}'


# What a message holds -> its body.
CONTENTS = {
    "clean": "nothing",
    "two": "lab: two points",
    "ten": "lab: ten points",
    "twenty": "lab: twenty points",
    "gtube": GTUBE,
    "eicar": EICAR,
    "zip": "",
}


class Cell(NamedTuple):
    """A message to some recipients: what Exim answers to it, and in which mailboxes it is afterwards. Junk: put aside there."""

    content: str
    recipients: tuple[str, ...]
    answer: str
    places: tuple[str, ...] = ()
    junk: tuple[str, ...] = ()


VIRUS = "550 5.7.1 The message contains"
SPAM = "550 5.7.1 The message looks like spam"
TAKEN = "250"
REFUSE, JUNK, MARKED, NONE = "info@flt-refuse", "info@flt-junk", "marked@flt-junk", "info@flt-none"
SPARED, OUTSIDE, BOTH = "spared@flt-refuse", "outside@flt-junk", "list@flt-junk"
GONE = "nobody@flt-junk"

CELLS = [
    # all recipients filter
    *(Cell("clean", (one,), TAKEN, (one,)) for one in (REFUSE, JUNK, MARKED, NONE, SPARED)),
    *(Cell("two", (one,), TAKEN, (one,)) for one in (REFUSE, JUNK, MARKED)),
    *(Cell(virus, (one,), VIRUS) for virus in ("eicar", "zip") for one in (REFUSE, JUNK, MARKED, "sales@flt-refuse", GONE)),
    Cell("ten", (REFUSE,), SPAM),
    Cell("gtube", (REFUSE,), SPAM),
    Cell("ten", ("sales@flt-refuse",), SPAM),
    Cell("ten", (JUNK,), TAKEN, (JUNK,), (JUNK,)),
    Cell("ten", (MARKED,), TAKEN, (MARKED,)),
    Cell("gtube", (MARKED,), TAKEN, (MARKED,)),
    Cell("twenty", (JUNK,), SPAM),
    Cell("gtube", (JUNK,), SPAM),
    # the domain's default action: what is discarded may be refused too
    Cell("ten", (GONE,), TAKEN),
    Cell("gtube", (GONE,), SPAM),
    # none does
    *(Cell(content, (NONE,), TAKEN, (NONE,)) for content in ("ten", "gtube", "eicar", "zip")),
    *(Cell(content, (SPARED,), TAKEN, (SPARED,)) for content in ("ten", "gtube", "eicar", "zip")),
    # some do: the message is taken, and each gets what he wants
    Cell("eicar", (REFUSE, NONE), TAKEN, (NONE,)),
    Cell("zip", (JUNK, SPARED), TAKEN, (SPARED,)),
    Cell("eicar", (REFUSE, JUNK), VIRUS),
    Cell("ten", (REFUSE, NONE), TAKEN, (NONE, REFUSE), (REFUSE,)),
    Cell("gtube", (REFUSE, JUNK, NONE), TAKEN, (JUNK, NONE, REFUSE), (JUNK, REFUSE)),
    Cell("ten", (REFUSE, JUNK), TAKEN, (JUNK, REFUSE), (JUNK, REFUSE)),
    Cell("gtube", (REFUSE, JUNK), SPAM),
    # through an alias, a forward and a domain that forwards: as the mailbox at the end wants it as well
    *(Cell(content, (one,), VIRUS) for content in ("eicar", "zip") for one in ("to-junk@flt-none", "info@flt-domain")),
    Cell("ten", ("to-junk@flt-none",), TAKEN, (JUNK,), (JUNK,)),
    Cell("gtube", ("to-junk@flt-none",), SPAM),
    Cell("ten", ("info@flt-domain",), TAKEN, (JUNK,), (JUNK,)),
    Cell("gtube", ("info@flt-domain",), SPAM),
    Cell("clean", ("to-junk@flt-none",), TAKEN, (JUNK,)),
    # with several at its end: the domain that was written to decides, and so does each
    Cell("eicar", (BOTH,), VIRUS),
    Cell("ten", (BOTH,), TAKEN, (JUNK, NONE), (JUNK, NONE)),
    # spam does not leave this host
    Cell("clean", (OUTSIDE,), TAKEN, ("caught@sink.test",)),
    Cell("two", (OUTSIDE,), TAKEN, ("caught@sink.test",)),
    Cell("ten", (OUTSIDE,), SPAM),
    Cell("ten", (OUTSIDE, NONE), TAKEN, (NONE,)),
    Cell("eicar", (OUTSIDE,), VIRUS),
    Cell("clean", ("out@flt-refuse",), TAKEN, ("caught@sink.test", "out@flt-refuse")),
    Cell("ten", ("out@flt-refuse", NONE), TAKEN, (NONE, "out@flt-refuse"), ("out@flt-refuse",)),
    # RFC 5321 section 4.5.1: spam or not, it is taken
    Cell("gtube", ("postmaster@flt-refuse",), TAKEN, ("hostmaster@sink.test",)),
]


def _letter(host: Host, content: str, recipients: tuple[str, ...], *options: str, **how: str) -> Letter:
    made = letter(host, ",".join(recipients), *options, **how)
    head, _blank, body = made.data.partition("\n\n")
    if content == "zip":
        return made._replace(data=f"{head}\nMIME-Version: 1.0\n{_zipped()}")
    return made._replace(data=f"{head}\n\n{body}{CONTENTS[content]}\n")


@once
def _sent(host: Host) -> dict[Cell, Sent]:
    letters = [_letter(host, cell.content, cell.recipients) for cell in CELLS]
    return dict(zip(CELLS, send_and_find(host, letters), strict=True))


def _name(cell: Cell) -> str:
    return f"{cell.content}-{'+'.join(cell.recipients)}"


def _in_junk(host: Host, token: str) -> list[str]:
    script = 'cd /var/vmail && grep -rlF "Subject: $1" . 2>/dev/null | grep "/.Junk/\\(new\\|cur\\)/" || true'
    found = host.bash(script, token).stdout.splitlines()
    return sorted(f"{path.split('/')[2]}@{host.short(path.split('/')[1])}" for path in found)


@pytest.mark.parametrize("cell", CELLS, ids=_name)
def test_every_recipient_gets_what_he_wants(mail_host: Host, cell: Cell) -> None:
    sent = _sent(mail_host)[cell]
    assert sent.session.answer.startswith(cell.answer), sent.session.transcript[-1500:]
    assert sent.places == sorted(cell.places)
    assert _in_junk(mail_host, sent.letter.token) == sorted(cell.junk)

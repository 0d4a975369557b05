# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an archive holds beside the mail: the settings of a domain or mailbox, its keys and certificates. No IO.

Each is a document, a small file. They stand in the archive ahead of the mail, the manifest first; of mail that is set aside
they lie beside it in one file. They are read back as what somebody else may have written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils import _names
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._model import DKIM_STAGES, Dkim, DkimKey, domain_of
from ansible_collections.fleetpost.mail.plugins.module_utils._moments import is_moment

FORMAT = 1
MANIFEST = "manifest.json"
# In the shape that `src` of mail_domains takes.
DECLARATION = "mail_domains.json"
# Where the mail is, beside the documents.
MAIL = "mail"
_DIRECTORIES = ("ssl", "certs", "acme")

Documents = Mapping[str, bytes]


class Settings(NamedTuple):
    """The settings of a removed domain, or of a mailbox (then `name` is its address).

    since: when the removal began. entry: in mail_domains' own shape, with password hashes. dkim: which key files it signs with, and
    where a rotation stands. files: ``ssl/``, ``certs/`` and ``acme/``, by path. mail_bytes, mail_files: how much mail it
    is, as far as that was counted.
    """

    name: str
    since: str
    entry: Mapping[str, Any]
    dkim: Dkim | None = None
    files: Documents = MappingProxyType({})
    mail_bytes: int = 0
    mail_files: int = 0


def documents_of(settings: Settings) -> dict[str, bytes]:
    """The documents of an archive in their order."""
    manifest = {
        "format": FORMAT,
        "name": settings.name,
        "removed": settings.since,
        "dkim": settings.dkim and _dkim_as_json(settings.dkim),
        "mail": {"bytes": settings.mail_bytes, "files": settings.mail_files},
    }
    declaration = {"domains": [settings.entry]}
    return {MANIFEST: _text(manifest), DECLARATION: _text(declaration), **settings.files}


def _text(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


def _dkim_as_json(dkim: Dkim) -> dict[str, Any]:
    return {**dkim._asdict(), "keys": [key._asdict() for key in dkim.keys], "other": [key._asdict() for key in dkim.other]}


def settings_of(documents: Documents) -> Settings:
    """The settings that documents hold. Raises MailError for what this version cannot read, and for what is none of ours."""
    manifest = _value(documents, MANIFEST)
    if manifest.get("format") != FORMAT:
        raise MailError(
            f"its manifest has format {manifest.get('format')!r:.40}, these modules know format {FORMAT}",
            remedy="Restore it with the version of the collection that wrote it, or a later one",
        )
    try:
        name, since = str(manifest["name"]), str(manifest["removed"])
        dkim = _dkim(manifest["dkim"], name) if manifest["dkim"] else None
        (entry,) = _value(documents, DECLARATION)["domains"]
        size, count = (int(manifest["mail"][one]) for one in ("bytes", "files"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(str(error) or type(error).__name__) from None
    if not _names.is_stored_form(_names.domain_name, domain_of(name)) or not is_moment(since) or not isinstance(entry, dict):
        raise _damaged("it names no domain, or no moment of its removal")
    if entry.get("name") != domain_of(name):
        raise _damaged(f"{DECLARATION} is about another domain than {MANIFEST}")
    return Settings(name, since, entry, dkim, _files(documents), size, count)


def _value(documents: Documents, document: str) -> dict[str, Any]:
    try:
        value = json.loads(documents[document])
    except KeyError:
        raise MailError(f"there is no {document} in it, so it is no archive with settings") from None
    except (ValueError, RecursionError) as error:
        raise _damaged(f"{document} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise _damaged(f"{document} is no dictionary")
    return value


def _damaged(why: str) -> MailError:
    return MailError(f"it is damaged: {_names.printable(why)}")


def _dkim(value: Mapping[str, Any], domain: str) -> Dkim:
    dkim = Dkim(_dkim_keys(value["keys"], domain), str(value["stage"]), _dkim_keys(value["other"], domain), str(value["until"]))
    if not dkim.keys or dkim.stage not in DKIM_STAGES or (dkim.stage == "active") != (not dkim.other):
        raise ValueError("how it signs is no state that a rotation has")
    if dkim.until and not is_moment(dkim.until):
        raise ValueError("dkim names no moment")
    return dkim


def _dkim_keys(values: Sequence[Mapping[str, Any]], domain: str) -> tuple[DkimKey, ...]:
    keys = tuple(DkimKey(str(value["selector"]), str(value["file"])) for value in values)
    for key in keys:
        # The name of a file: it may not lead anywhere else, nor to the key of another domain.
        if not _names.is_stored_form(_names.dkim_selector, key.selector) or key.file not in (domain, f"{domain}.{key.selector}"):
            raise ValueError(f"{key.file[:80]} is not the name of a key of {domain}")
    return keys


def _files(documents: Documents) -> dict[str, bytes]:
    """The keys and certificates; a name that leads elsewhere is passed over, as nobody asks for it."""
    found = {}
    for path, content in documents.items():
        directory, _slash, name = path.partition("/")
        if directory in _DIRECTORIES and name and "/" not in name:
            found[path] = content
    return found


def sidecar_of(settings: Settings) -> bytes:
    """The one file that lies beside mail that was set aside: every document as a text."""
    texts = {name: content.decode("utf-8", "surrogateescape") for name, content in documents_of(settings).items()}
    return _text(texts)


def documents_in(sidecar: bytes) -> dict[str, bytes]:
    """The documents of that file. Raises MailError."""
    try:
        texts = json.loads(sidecar)
        return {str(name): text.encode("utf-8", "surrogateescape") for name, text in texts.items()}
    except (ValueError, AttributeError) as error:
        raise _damaged(str(error)) from None


def sidecar_path(target: str) -> str:
    """Where the settings lie of mail that was set aside at `target`."""
    return f"{target}.json"

# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps what a domain or mailbox was, before its lines, keys and certificates go. Changes nothing but the file it writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

from ansible_collections.fleetpost.mail.plugins.module_utils import _mail_tree
from ansible_collections.fleetpost.mail.plugins.module_utils._archive import require_space
from ansible_collections.fleetpost.mail.plugins.module_utils._archived import Settings, sidecar_of, sidecar_path
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._gather import declaration_of
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Address, Alias, Domain, Host, Mailbox, domain_of, local_part_of
from ansible_collections.fleetpost.mail.plugins.module_utils._observe_keys import read_keys
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership
from ansible_collections.fleetpost.mail.plugins.module_utils._settle import revived_address, revived_domain
from ansible_collections.fleetpost.mail.plugins.module_utils._signing import files_of
from ansible_collections.fleetpost.mail.plugins.module_utils._steps import Remove

_FOR_ROOT = Ownership(0, 0, 0o600)
_MOMENT = len("20261123T040000Z")


class Capture:
    """Writes down what is removed, before the first of its lines changes. present: the host as it was. remaining: the domains that stay."""

    def __init__(self, tree: Tree, layout: Layout, present: Host, remaining: Collection[Domain]) -> None:
        self._tree = tree
        self._layout = layout
        self._present = present
        self._kept_certificates = {domain.certificate for domain in remaining}
        self._addresses: defaultdict[str, dict[str, Address]] = defaultdict(dict)
        for name, address in present.addresses.items():
            self._addresses[domain_of(name)][name] = address

    def write(self, removals: Sequence[Remove]) -> None:
        """Writes the settings of each beside the place where its mail will be set aside, for root alone. Raises MailError.

        What is there already stays: an earlier run wrote it, and may have changed lines since. What a run left that died before its
        tombstone stood goes.
        """
        wanted = [removal for removal in removals if removal.source and removal.removal.removed_mail != "delete"]
        new = [removal for removal in wanted if not self._tree.exists(sidecar_path(removal.target))]
        if not new:
            return
        self._tree.ensure_parent(self._layout.removed_dir)
        self._tree.make_directories([(self._layout.removed_dir, Ownership(0, 0, 0o700))])
        self._remove_strays({f"{removal.name}." for removal in new})
        self._tree.write_files([(sidecar_path(removal.target), sidecar_of(self._settings(removal)), _FOR_ROOT) for removal in new])

    def _remove_strays(self, begins: Collection[str]) -> None:
        directory = self._layout.removed_dir
        names = set(_mail_tree.names_in(self._tree, directory))
        for name in names:
            kept, dot, _json = name.rpartition(".json")
            if dot and kept not in names and kept[:-_MOMENT] in begins:
                self._tree.remove_file(f"{directory}/{name}")

    def check_space(self, removal: Remove) -> None:
        """Raises MailError when there may be too little space for an archive. Nothing has been moved yet."""
        if removal.removal.removed_mail == "archive" and removal.source and self._tree.exists(removal.source):
            require_space(self._tree, removal.removal.archive_dir, _mail_tree.usage(self._tree, removal.source)[0])

    def _settings(self, removal: Remove) -> Settings:
        name, since = removal.name, removal.removal.since
        size, count = _mail_tree.usage(self._tree, removal.source) if removal.source else (0, 0)
        domain = revived_domain(self._present.domains[domain_of(name)])
        files = files_of(domain.dkim)
        keys = {file: found.key for file, found in read_keys(self._tree, self._layout, files).items() if found.key}
        addresses = {one: revived_address(address) for one, address in self._addresses[domain.name].items()}
        host = self._present._replace(domains={domain.name: domain}, addresses=addresses, keys=keys)
        if "@" not in name:
            (entry,) = declaration_of(host, [name], with_hashes=True)
            return Settings(name, since, entry, domain.dkim, self._files(domain), size, count)
        # An alias may have taken its place already.
        mailbox = Mailbox(name) if isinstance(addresses[name], Alias) else addresses[name]
        (entry,) = declaration_of(host._replace(addresses={**addresses, name: mailbox}), [domain.name], with_hashes=True)
        own = [one for one in entry["mailboxes"] if one["name"] == local_part_of(name)]
        return Settings(name, since, {"name": domain.name, "mailboxes": own}, mail_bytes=size, mail_files=count)

    def _files(self, domain: Domain) -> dict[str, bytes]:
        """The keys of a domain, and the certificate that nobody else has, by their names in an archive."""
        layout = self._layout
        places = {}
        for file in files_of(domain.dkim):
            places[f"ssl/{file}.private"] = layout.private_key(file)
            places[f"ssl/{file}.txt"] = layout.key_record(file)
        certificate = self._present.certificates.get(domain.certificate)
        if certificate and not certificate.is_host and certificate.name not in self._kept_certificates:
            places[f"certs/{certificate.name}.pem"] = layout.exim_certificate(certificate.name)
            places[f"acme/{certificate.name}.ini"] = layout.acme_credentials(certificate.name)
        contents = {name: self._tree.read(path) for name, path in places.items()}
        return {name: content for name, content in contents.items() if content is not None}

# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where everything lives on a mail host: the only place that spells a path or a system account."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._filter_model import Lists


@dataclass(frozen=True)
class Layout:
    """Paths and accounts of one family of distributions; paths are absolute inside the managed file tree."""

    name: str
    exim_dir: str
    exim_conf: str
    exim_user: str
    exim_group: str
    exim_binary: str
    exim_service: str
    exim_spool: str
    dovecot_dir: str = "/etc/dovecot"
    dovecot_group: str = "dovecot"
    mail_root: str = "/var/vmail"
    removed_dir: str = "/var/vmail/.removed"
    run_dir: str = "/run"
    lock_file: str = "/run/mail-domains.lock"
    # Stands while Dovecot has not been told of certificates that are new.
    reload_marker: str = "/run/mail-domains.reload"
    certbot_dir: str = "/etc/letsencrypt"
    # Of its last run.
    certbot_log: str = "/var/log/letsencrypt/letsencrypt.log"
    acme_hook: str = "/usr/local/sbin/mail-domain-certificates"
    audit_log: str = "/var/log/mail-domains.log"
    # The tables as they were before each of the last runs.
    generations_dir: str = "/var/lib/mail-domains/generations"
    default_owner: str = "vmail"

    @property
    def domains(self) -> str:
        return f"{self.exim_dir}/domains"

    @property
    def domainips(self) -> str:
        return f"{self.exim_dir}/domainips"

    @property
    def lists_dir(self) -> str:
        return f"{self.exim_dir}/lists"

    @property
    def domain_lists(self) -> dict[str, str]:
        """The tables that hold a list for each domain, by name."""
        return {"domainips": self.domainips, **{name: f"{self.lists_dir}/{name}" for name in Lists._fields}}

    @property
    def owners(self) -> str:
        return f"{self.exim_dir}/owners"

    @property
    def addresses(self) -> str:
        return f"{self.exim_dir}/addresses"

    @property
    def ssl_dir(self) -> str:
        return f"{self.exim_dir}/ssl"

    def private_key(self, file: str) -> str:
        """The private half of a DKIM key."""
        return f"{self.ssl_dir}/{file}.private"

    def key_record(self, file: str) -> str:
        """The TXT record of a DKIM key."""
        return f"{self.ssl_dir}/{file}.txt"

    @property
    def certificates(self) -> str:
        return f"{self.exim_dir}/certificates"

    def exim_certificate(self, name: str) -> str:
        """Exim's copy of a certificate: key and chain."""
        return f"{self.ssl_dir}/{name}.pem"

    @property
    def dovecot_certificates_dir(self) -> str:
        return f"{self.dovecot_dir}/certs"

    def dovecot_certificate(self, name: str) -> str:
        """Dovecot's copy of a certificate: key and chain."""
        return f"{self.dovecot_certificates_dir}/{name}.pem"

    @property
    def names(self) -> str:
        """Which certificate Dovecot shows for which name."""
        return f"{self.dovecot_certificates_dir}/names.conf"

    @property
    def acme_dir(self) -> str:
        """What the ACME client needs to renew our certificates."""
        return f"{self.certbot_dir}/fleetpost-mail"

    def acme_credentials(self, name: str) -> str:
        """The TSIG key with which the ACME client proves a name by DNS."""
        return f"{self.acme_dir}/{name}.ini"

    @property
    def users(self) -> str:
        return f"{self.dovecot_dir}/users"

    @property
    def disabled_domains(self) -> str:
        return f"{self.dovecot_dir}/disabled_domains"

    @property
    def dovecot_conf(self) -> str:
        return f"{self.dovecot_dir}/dovecot.conf"

    def domain_tree(self, domain: str) -> str:
        return f"{self.mail_root}/{domain}"

    def mailbox_tree(self, address: str) -> str:
        local_part, _at, domain = address.rpartition("@")
        return f"{self.mail_root}/{domain}/{local_part}"

    def removed_tree(self, name: str, since: str) -> str:
        """Where the mail of a removed domain or address is set aside: ``NAME.TIMESTAMP``."""
        return f"{self.removed_dir}/{name}.{since}"


DEBIAN = Layout(
    name="debian",
    exim_dir="/etc/exim4",
    exim_conf="/etc/exim4/exim4.conf",
    exim_user="Debian-exim",
    exim_group="Debian-exim",
    exim_binary="/usr/sbin/exim4",
    exim_service="exim4",
    exim_spool="/var/spool/exim4",
)
REDHAT = Layout(
    name="redhat",
    exim_dir="/etc/exim",
    exim_conf="/etc/exim/exim.conf",
    exim_user="exim",
    exim_group="exim",
    exim_binary="/usr/sbin/exim",
    exim_service="exim",
    exim_spool="/var/spool/exim",
)
LAYOUTS = {layout.name: layout for layout in (DEBIAN, REDHAT)}

_REDHAT_FAMILY = {"rhel", "fedora", "centos", "almalinux", "rocky", "ol", "amzn"}
_DEBIAN_FAMILY = {"debian", "ubuntu"}


def layout_for(choice: str, os_release: str | None) -> Layout:
    """The layout named by `choice`, or for ``auto`` the one of the text of os-release(5).

    Raises MailError when ``auto`` meets a distribution of neither family.
    """
    if choice != "auto":
        return LAYOUTS[choice]
    families: set[str] = set()
    for line in (os_release or "").splitlines():
        key, _equals, value = line.partition("=")
        if key in ("ID", "ID_LIKE"):
            families.update(value.strip().strip("\"'").split())
    if families & _DEBIAN_FAMILY:
        return DEBIAN
    if families & _REDHAT_FAMILY:
        return REDHAT
    raise MailError(
        "this host is neither of the Debian nor of the Red Hat family (by etc/os-release)",
        where="layout",
        remedy="Say which layout it follows with layout: debian or layout: redhat",
    )

# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation shared by the modules."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  root:
    description:
      - The file tree to work in. Any other than V(/) is for building images and for tests.
      - Users then come from its C(/etc/passwd) if it has one, symbolic links below it are refused, no running server is
        touched, and sending addresses are not checked.
    type: path
    default: /
  layout:
    description:
      - Where Exim keeps its files and what its user is called.
      - V(auto) decides by C(/etc/os-release).
    type: str
    choices: [auto, debian, redhat]
    default: auto
  lock_timeout:
    description:
      - How many seconds to wait for another run on the same host before giving up with the name of its process.
    type: float
    default: 60.0
  acting_as:
    description:
      - The user in whose name the task acts. It then sees and changes only what that user may, its own domains and those of the
        users that it is the reseller of (M(fleetpost.mail.mail_owner)). For V(root), and when this is omitted, everything.
      - Options that are the administrator's, and whatever belongs to others, are refused with C(not available to you), and the
        attempt is logged. The page C(docs/shared-hosts.md) of the collection has the table of rights.
    type: str
  job_id:
    description:
      - The number or name of the job at the controller that this run is part of, for the log C(/var/log/mail-domains.log). Up to
        64 letters, digits and C(._:/@+-).
      - With AWX, C(module_defaults) for the group C(fleetpost.mail.mail) may say
        C(job_id="{{ tower_job_id | default(omit) }}") once for all modules.
    type: str
"""

    REMOVAL = r"""
options:
  removed_mail:
    description:
      - What happens to the mail of what is removed.
      - V(keep) sets it aside below C(/var/vmail/.removed), where it belongs to root and expires after the retention of the
        role P(fleetpost.mail.mail_domains#role). V(archive) packs it into O(archive_dir), V(delete) deletes it.
      - When it is omitted mail is kept.
    type: str
    choices: [keep, archive, delete]
  archive_dir:
    description:
      - Where archives go, as C(NAME.TIMESTAMP.tar.gz), readable by root alone.
      - When it is omitted, C(/var/backups/mail-domains).
    type: path
"""

    PASSWORD_SCHEME = r"""
options:
  password_scheme:
    description:
      - The scheme that plain passwords are hashed with, by Dovecot's own C(doveadm pw) on the host.
      - Existing hashes of another scheme stay as they are. V(BLF-CRYPT) takes passwords of up to 72 bytes.
    type: str
    choices: [BLF-CRYPT, SHA512-CRYPT, ARGON2ID]
    default: BLF-CRYPT
"""

    LOOK = r"""
options:
  resolvers:
    description:
      - Name servers to ask while keys change, V(ADDRESS) or V(ADDRESS@PORT). They find the authoritative servers, which decide.
      - The host's own when this is omitted.
    type: list
    elements: str
  dns_timeout:
    description:
      - For how many seconds at most the name servers are asked, in all.
    type: float
    default: 20.0
"""

    CERTIFYING = r"""
options:
  ssl_defaults:
    description:
      - What every C(ssl) of this task says that does not say otherwise, so that the authority and its options stand in one place.
    type: dict
    suboptions:
      provider:
        description:
          - V(selfsigned) is made on the host. V(provided) is given here, or as files on the host. V(acme) comes from a
            certificate authority such as Let's Encrypt, through certbot, which the role P(fleetpost.mail.acme#role) installs and
            which renews it between runs.
          - A certificate that is not there yet, or cannot be got, never leaves a name without TLS. What was there before stays,
            or a self-signed one stands in.
          - V(selfsigned) for a new certificate when this is omitted.
        type: str
        choices: [selfsigned, acme, provided]
      key_type:
        description:
          - V(ecdsa) for a new certificate of a domain, V(rsa) for the host's own, when this is omitted.
        type: str
        choices: [ecdsa, rsa]
      key_size:
        description:
          - Bits of the key. V(256) or V(384) for V(ecdsa), V(2048), V(3072) or V(4096) for V(rsa). The smallest when this is
            omitted.
        type: int
      valid_days:
        description:
          - For how long a self-signed certificate is valid when it is made; one that is there stays. V(3650) for a new one when
            this is omitted.
        type: int
      renew_before_days:
        description:
          - How many days before its end a certificate is renewed by a run, and never before two thirds of its life are over. The
            timer of certbot has a rule of its own, which comes first.
          - V(30) for a new certificate when this is omitted.
        type: int
      email:
        description:
          - Where the authority writes to when something is wrong with the certificate.
        type: str
      acme_directory:
        description:
          - The authority, V(letsencrypt), V(letsencrypt-staging) for trials, or the https URL of its ACME directory (RFC 8555
            section 7.1.1).
          - V(letsencrypt) for a new certificate when this is omitted.
        type: str
      challenge:
        description:
          - How the authority sees that the names are yours (RFC 8555 section 8), by a file at port 80, or by a TXT record.
            Wildcards need V(dns-01).
          - V(http-01) for a new certificate when this is omitted.
        type: str
        choices: [http-01, dns-01]
      challenge_method:
        description:
          - Who answers the challenge. V(standalone) is certbot's own server on port 80, which nobody else may use then.
            V(webroot) puts the file into C(webroot), for a web server of the host to show. V(rfc2136) updates the DNS.
          - V(standalone) for V(http-01) and V(rfc2136) for V(dns-01) when this is omitted.
        type: str
        choices: [standalone, webroot, rfc2136]
      webroot:
        description:
          - The directory whose C(.well-known/acme-challenge) a web server of the host shows on port 80 for all the names.
        type: path
      rfc2136:
        description:
          - The name server that takes dynamic updates (RFC 2136) for V(dns-01).
        type: dict
        suboptions:
          server:
            description:
              - Its address, IPv4 or IPv6.
            type: str
            required: true
          port:
            description:
              - Its port.
            type: int
            default: 53
          tsig_name:
            description:
              - The name of the TSIG key (RFC 8945) that may update C(_acme-challenge) of the names.
            type: str
            required: true
          tsig_secret:
            description:
              - The key, in base64. It stays in a file that root alone can read, because renewals need it; when it is omitted,
                what is there is kept.
            type: str
          tsig_algorithm:
            description:
              - The algorithm of the key.
            type: str
            choices: [hmac-sha256, hmac-sha512, hmac-sha384, hmac-sha224, hmac-sha1]
            default: hmac-sha256
          propagation_seconds:
            description:
              - How long to wait until all name servers of the zone know the record.
            type: int
            default: 10
      terms_agreed:
        description:
          - Whether you agree to the terms of the authority. Nothing is ordered from it without.
        type: bool
      eab_kid:
        description:
          - The key identifier of an external account binding (RFC 8555 section 7.3.4), for authorities that want one.
        type: str
      eab_hmac_key:
        description:
          - The HMAC key of the external account binding, in base64url. It is needed when the account is made, with the first
            order, and kept nowhere.
        type: str
      ca_certificate:
        description:
          - A file on the host with the certificate of an internal authority that signs the TLS of C(acme_directory) itself and
            that the host does not trust anyway.
        type: path
  acme_max_orders:
    description:
      - How many certificates are ordered in one run at most. Each takes some seconds, and authorities limit how many they issue.
        The others are in RV(waiting), and those that failed last come last.
    type: int
    default: 20
"""

    ATTRIBUTES = r"""
options: {}
attributes:
  check_mode:
    support: full
    description: Says what it would change and changes nothing.
  diff_mode:
    support: full
    description: Shows the lines of the tables and the directories that change; never a secret.
  idempotent:
    support: full
    description: A second run with the same options changes nothing.
"""

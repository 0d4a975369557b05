#!/usr/bin/python
# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mail_domain_cert
short_description: Manage the certificate of one mail domain, or of the host itself
version_added: 1.0.0
description:
  - Makes, takes over, orders, renews and removes the certificate that Exim and Dovecot show for the names of a mail domain (SNI).
  - The same as the option C(ssl) of M(fleetpost.mail.mail_domain) and M(fleetpost.mail.mail_domains), for a domain that is there.
  - With the host's own name as O(domain) it is the certificate of the host, which clients see that ask for no name or for an unknown one.
  - Before anything is written the pair is checked. The key must fit the certificate, the chain be in order and complete, the names be
    covered; it must not have expired, nor be weak. Dovecot is asked whether it would start with it, and if not, the old files come back.
author:
  - fleetpost.mail contributors (@fleetpost)
extends_documentation_fragment:
  - fleetpost.mail.common
  - fleetpost.mail.common.attributes
options:
  domain:
    description: The mail domain, or the host's own name.
    type: str
    required: true
    aliases: [name]
  state:
    description:
      - V(absent) shows the domain with the host's own certificate again. A certificate that no domain names any more is removed
        from both servers, and certbot forgets it.
    type: str
    choices: [present, absent]
    default: present
  alias:
    description:
      - The name that users and their mail programs connect to. The files are called after it, and several domains may share one.
      - V(mail.DOMAIN) for a domain without a certificate of its own when this is omitted.
    type: str
  alternative_names:
    description:
      - Further names in the certificate, such as V(imap.example.com) or V(*.example.com). The list is the whole list.
      - A name belongs to the owner of the mail domain that it lies in, and to one certificate.
    type: list
    elements: str
  provider:
    description:
      - V(selfsigned) is made on the host. V(provided) is given here, or as files on the host. V(acme) comes from a certificate
        authority such as Let's Encrypt, through certbot, which the role P(fleetpost.mail.acme#role) installs and which renews it
        between runs.
      - A certificate that is not there yet, or cannot be got, never leaves a name without TLS. What was there before stays, or a
        self-signed one stands in.
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
      - Bits of the key. V(256) or V(384) for V(ecdsa), V(2048), V(3072) or V(4096) for V(rsa). The smallest when this is omitted.
    type: int
  valid_days:
    description:
      - For how long a self-signed certificate is valid when it is made; one that is there stays. V(3650) for a new one when this
        is omitted.
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
      - The authority, V(letsencrypt), V(letsencrypt-staging) for trials, or the https URL of its ACME directory (RFC 8555 section
        7.1.1).
      - V(letsencrypt) for a new certificate when this is omitted.
    type: str
  challenge:
    description:
      - How the authority sees that the names are yours (RFC 8555 section 8), by a file at port 80, or by a TXT record. Wildcards
        need V(dns-01).
      - V(http-01) for a new certificate when this is omitted.
    type: str
    choices: [http-01, dns-01]
  challenge_method:
    description:
      - Who answers the challenge. V(standalone) is certbot's own server on port 80, which nobody else may use then. V(webroot)
        puts the file into C(webroot), for a web server of the host to show. V(rfc2136) updates the DNS.
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
          - The key, in base64. It stays in a file that root alone can read, because renewals need it; when it is omitted, what is
            there is kept.
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
      - The HMAC key of the external account binding, in base64url. It is needed when the account is made, with the first order,
        and kept nowhere.
    type: str
  ca_certificate:
    description:
      - A file on the host with the certificate of an internal authority that signs the TLS of C(acme_directory) itself and that
        the host does not trust anyway.
    type: path
  certificate:
    description:
      - The certificate in PEM form, for V(provided); the rest of the chain may follow it.
    type: str
  chain:
    description:
      - The certificates between it and the root, in PEM form, each followed by the one that issued it.
    type: str
  private_key:
    description:
      - The private key of the certificate in PEM form, without a passphrase. It is never shown. When certificate and key are
        omitted, what is there is kept.
    type: str
  certificate_path:
    description:
      - Instead of C(certificate), a file on the host. It is looked at in each run, so that another tool may renew it.
    type: path
  chain_path:
    description:
      - Instead of C(chain), a file on the host.
    type: path
  private_key_path:
    description:
      - Instead of C(private_key), a file on the host.
    type: path
  force:
    description:
      - Make or order a new one now, whatever is there. Every run does it again.
    type: bool
    default: false
seealso:
  - module: fleetpost.mail.mail_domain
  - module: fleetpost.mail.mail_domain_info
"""

EXAMPLES = r"""
- name: A certificate of Let's Encrypt for mail.example.com and imap.example.com
  fleetpost.mail.mail_domain_cert:
    domain: example.com
    provider: acme
    alternative_names: [imap.example.com]
    email: hostmaster@example.com
    terms_agreed: true

- name: A wildcard, proved by DNS
  fleetpost.mail.mail_domain_cert:
    domain: example.net
    provider: acme
    alternative_names: ["*.example.net"]
    challenge: dns-01
    rfc2136:
      server: 192.0.2.53
      tsig_name: mail
      tsig_secret: "{{ vault_tsig_secret }}"
    terms_agreed: true

- name: A certificate that was bought
  fleetpost.mail.mail_domain_cert:
    domain: example.org
    provider: provided
    certificate: "{{ lookup('ansible.builtin.file', 'mail.example.org.crt') }}"
    chain: "{{ lookup('ansible.builtin.file', 'intermediate.crt') }}"
    private_key: "{{ vault_example_org_key }}"

- name: The host's own certificate
  fleetpost.mail.mail_domain_cert:
    domain: mx1.example.net
    provider: acme
    terms_agreed: true

- name: Show the domain with the host's certificate again
  fleetpost.mail.mail_domain_cert:
    domain: example.com
    state: absent
"""

RETURN = r"""
certificate:
  description: The certificate after the run, in check mode as it is now; empty when there is none.
  type: dict
  returned: success
  contains:
    name:
      description: The name that its files are called after.
      type: str
      sample: mail.example.com
    names:
      description: All names that it is shown for.
      type: list
      elements: str
      sample: [mail.example.com, imap.example.com]
    paths:
      description: Key and chain for C(exim) and for C(dovecot).
      type: dict
      sample: {"exim": "/etc/exim4/ssl/mail.example.com.pem", "dovecot": "/etc/dovecot/certs/mail.example.com.pem"}
    provider:
      description: Where it is to come from.
      type: str
      sample: acme
    issuer:
      description: Who issued it (RFC 4514).
      type: str
      sample: CN=R11,O=Let's Encrypt,C=US
    not_before:
      description: From when it is valid.
      type: str
      sample: "2026-11-26T08:00:13Z"
    not_after:
      description: Until when it is valid.
      type: str
      sample: "2027-02-24T08:00:12Z"
    days_left:
      description: How many whole days that is from now.
      type: int
      sample: 89
    fingerprint:
      description: SHA-256 of the certificate.
      type: str
      sample: 5f2d0f0f1b34aa1d59ec1e1d1ba2c5e1d0ea27f3bb3e7dbe9f5d4de2d6c7f1a9
    problems:
      description: What is wrong with it, each in a sentence.
      type: list
      elements: str
renewed:
  description: Whether the servers show another certificate than before the run, or would.
  type: bool
  returned: success
changed_domains:
  description: The names of the domains that were changed, or would be.
  type: list
  elements: str
  returned: always
  sample: [example.com]
counts:
  description:
    - How many V(domains), V(mailboxes) and V(aliases_and_forwards) were created, changed and removed, and how many there are
      now.
  type: dict
  returned: always
  sample: {"domains": {"created": 0, "changed": 1, "removed": 0, "total": 12}}
actions:
  description: Every change, done or in check mode planned, sorted by domain.
  type: list
  elements: dict
  returned: always
  contains:
    domain:
      description: The mail domain; empty for what belongs to the whole host.
      type: str
      sample: example.com
    action:
      description: What is done, such as V(create certificate), V(change certificate), V(write certificate) or V(order certificate).
      type: str
      sample: order certificate
    detail:
      description: What exactly. Never a secret.
      type: str
      sample: mail.example.com from https://acme-v02.api.letsencrypt.org/directory by http-01 (standalone)
errors:
  description: Each error apart, with its C(message), C(where) it is (an option path or a file and line) and a C(remedy).
  type: list
  elements: dict
  returned: failure
"""

from ansible_collections.fleetpost.mail.plugins.module_utils._declaration import declaration_of_certificate
from ansible_collections.fleetpost.mail.plugins.module_utils._module import certificate_module, new_module
from ansible_collections.fleetpost.mail.plugins.module_utils._specs import SSL


def main() -> None:
    module = new_module({"domain": {"type": "str", "required": True, "aliases": ["name"]}, **SSL})
    certificate_module(module, lambda: declaration_of_certificate(module.params))


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mail_domain_dns
short_description: Tell, verify and publish the DNS records of mail domains
version_added: 1.0.0
description:
  - Tells the DNS records that the mail domains of a host need, looks up whether they are there, and publishes them where the
    zones take dynamic updates (RFC 2136).
  - What is in the DNS is judged as receivers do and not by its text, so an SPF record that allows more than this host, or a DKIM
    record with other tags and the same key, is right.
  - The domains, their sending addresses, DKIM keys and DMARC records are those of the host that the task runs on; run
    M(fleetpost.mail.mail_domains) first.
  - Needs the Python library dnspython on the host for all but telling.
author:
  - fleetpost.mail contributors (@fleetpost)
extends_documentation_fragment:
  - fleetpost.mail.common
options:
  domains:
    description:
      - The mail domains. All of the host when it is omitted.
    type: list
    elements: str
    aliases: [domain]
  state:
    description:
      - V(present) publishes what is missing through O(provider). Without a provider it changes nothing, and returns the records
        to add by hand or with a module of another collection.
      - V(verified) never changes anything. It looks each record up and returns RV(verification).
      - V(absent) takes the domains' records out of the DNS and needs O(withdraw_dns=true) and O(domains). Do it before
        the domain leaves the host, as long as its keys are known. The host's own records (V(a), V(aaaa), V(tlsa)) stay.
    type: str
    choices: [present, absent, verified]
    default: present
  records:
    description:
      - Which records.
      - V(mx) is O(mx), V(spf) allows the domain's sending addresses or else the mail host, V(dkim) is a record for each key
        that signs, is about to sign or has signed until lately, V(dmarc) is the domain's DMARC record if it has one.
      - V(a) and V(aaaa) are the addresses of the mail host, V(tlsa) is the public key of its certificate for SMTP (RFC 7672), which
        means something only in a zone that is signed with DNSSEC.
      - V(mta_sts) announces the policy with O(mta_sts_id) (RFC 8461); serving that policy is up to you. V(tls_rpt) is where
        reports on encryption go (RFC 8460), V(autoconfig) are the SRV records by which mail programs find the host (RFC 6186,
        RFC 8314).
    type: list
    elements: str
    choices: [mx, a, aaaa, spf, dkim, dmarc, mta_sts, tls_rpt, tlsa, autoconfig]
    default: [mx, spf, dkim, dmarc]
  ttl:
    description:
      - The time to live of the records in seconds.
      - When it is omitted, 3600 for new records, and records that are there keep theirs.
    type: int
  mail_host:
    description:
      - The name of the host in the records. C(primary_hostname) of its Exim configuration when it is omitted.
    type: str
  mail_host_addresses:
    description:
      - The addresses of the mail host, for V(a) and V(aaaa).
      - When it is omitted, C(exim_ip_addresses) of the role P(fleetpost.mail.exim#role), or else the host's addresses without
        loopback and link-local ones.
    type: list
    elements: str
  mx:
    description:
      - The MX records of the domains, each a preference and a name, such as V(10 mx.example.com). Backup servers belong here too.
      - The mail host with preference 10 when it is omitted.
    type: list
    elements: str
  spf_all:
    description:
      - What a new SPF record says of all others that send. The end of a record that is there is yours and not judged.
    type: str
    choices: [fail, softfail, neutral]
    default: softfail
  mta_sts_id:
    description:
      - The id of the MTA-STS policy, up to 32 letters and digits; a new one each time the policy changes.
    type: str
  tls_rpt_rua:
    description:
      - Where reports on encryption go, as C(mailto:ADDRESS) or C(https://PLACE). C({domain}) is filled in.
      - V(mailto:postmaster@{domain}) when it is omitted.
    type: list
    elements: str
  provider:
    description:
      - Who publishes. Only what differs is changed, in one atomic update for each zone (several where a message of 64 KiB cannot
        hold it), with prerequisites, so that a change that somebody else makes meanwhile is not overwritten.
      - Other records at the same names are left alone. Another record of the same kind (a second SPF or DMARC record, an MX of
        another host, another key under the same selector) is an error that says what to do. It keeps back the records of its
        domain, and those of no other; so does a domain whose zone the server does not have.
    type: dict
    suboptions:
      type:
        description:
          - V(rfc2136) is dynamic update as BIND, Knot, PowerDNS, Windows and others take it.
        type: str
        required: true
        choices: [rfc2136]
      server:
        description:
          - The primary server of the zones, by IP address or name.
        type: str
        required: true
      port:
        description:
          - Its port.
        type: int
        default: 53
      zone:
        description:
          - The zone of all records. When it is omitted, the zone of each record is the one that the server shows the SOA record of.
        type: str
      tsig_name:
        description:
          - The name of the TSIG key (RFC 8945) that signs questions and updates. Without one they are not signed.
        type: str
      tsig_secret:
        description:
          - Its secret in base64.
        type: str
      tsig_algorithm:
        description:
          - Its algorithm.
        type: str
        choices: [hmac-sha256, hmac-sha512, hmac-sha384, hmac-sha224, hmac-sha1]
        default: hmac-sha256
  replace:
    description:
      - Kinds of records of which ours take the place of others that stand in their way. It is how a change of the
        domain's DMARC policy, or of a key under the same selector, is published.
    type: list
    elements: str
    choices: [mx, a, aaaa, spf, dkim, dmarc, mta_sts, tls_rpt, tlsa, autoconfig]
    default: []
  withdraw_dns:
    description:
      - Whether records may be taken out of the DNS. With O(state=absent) those of O(records), with O(state=present) those of DKIM
        keys whose rotation is over.
      - Only values that are ours are removed, and only while the domain's MX leads to this host, as the domain's authoritative name
        servers say; otherwise a warning says why they stay.
    type: bool
    default: false
  resolvers:
    description:
      - With O(state=verified) the servers to ask, as C(ADDRESS) or C(ADDRESS@PORT), in the place of the authoritative servers of each
        name. The first one that answers counts.
      - Otherwise where authoritative servers are looked up. Those of C(/etc/resolv.conf) when it is omitted.
    type: list
    elements: str
  timeout:
    description:
      - How many seconds looking up may take, and publishing as well, each for all domains together. What did not answer in that
        time is V(unreachable), or with a provider an error.
    type: float
    default: 30.0
  fail_on_difference:
    description:
      - Whether O(state=verified) fails when a record is not as it should be.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Says what it would publish or withdraw, for which it asks the server, and changes nothing.
  diff_mode:
    support: full
    description: Shows the records that change, by zone.
  idempotent:
    support: full
    description: A second run with the same options changes nothing.
notes:
  - RV(dns_records) are as the modules C(*_record_sets) of C(community.dns) take them. Such a module makes a record set exactly
    what it is given, so add to the domain's own TXT records (SPF) what else stands there.
  - A wildcard record serves no name at or below which another record is published (RFC 4592). Where MX, SPF or other records of this
    module come from a wildcard and something has to be added, they are published with it; other records, such as addresses, are not.
seealso:
  - module: fleetpost.mail.mail_domains
  - module: fleetpost.mail.mail_domain_dkim
  - module: fleetpost.mail.mail_domain_info
"""

EXAMPLES = r"""
- name: Which records do the domains of this host need
  fleetpost.mail.mail_domain_dns:
  register: dns

- name: Show them as lines of a zone file
  ansible.builtin.debug:
    msg: "{{ dns.zone_file }}"

- name: Are the records of a domain right, for all the world to see
  fleetpost.mail.mail_domain_dns:
    domain: example.com
    state: verified
    fail_on_difference: true

- name: Publish the records of all domains
  fleetpost.mail.mail_domain_dns:
    provider:
      type: rfc2136
      server: 192.0.2.53
      tsig_name: mail
      tsig_secret: "{{ vault_tsig_secret }}"

- name: Also publish a new DMARC policy, and withdraw the records of keys whose rotation is over
  fleetpost.mail.mail_domain_dns:
    replace: [dmarc]
    withdraw_dns: true
    provider:
      type: rfc2136
      server: ns1.example.net
      tsig_name: mail
      tsig_secret: "{{ vault_tsig_secret }}"
      tsig_algorithm: hmac-sha512

- name: Publish the records of one domain and of the host, with a backup server
  fleetpost.mail.mail_domain_dns:
    domain: example.com
    records: [mx, a, aaaa, spf, dkim, dmarc, tls_rpt, autoconfig]
    mx: [10 mx1.example.net, 20 backup.example.net]
    ttl: 600
    provider:
      type: rfc2136
      server: 192.0.2.53

- name: Take the records of a domain out of the DNS before it leaves this host
  fleetpost.mail.mail_domain_dns:
    domain: example.org
    state: absent
    withdraw_dns: true
    provider:
      type: rfc2136
      server: 192.0.2.53
      tsig_name: mail
      tsig_secret: "{{ vault_tsig_secret }}"
"""

RETURN = r"""
dns_records:
  description:
    - The records that the domains need, as C(community.dns.*_record_sets) takes them.
    - Names have no final dot, names in values have one, TXT values are whole and unquoted.
  type: list
  elements: dict
  returned: success
  sample:
    - {"record": "example.com", "type": "MX", "ttl": 3600, "value": ["10 mx1.example.net."]}
    - {"record": "example.com", "type": "TXT", "ttl": 3600, "value": ["v=spf1 a:mx1.example.net ~all"]}
zone_file:
  description: The same as lines of a zone file, with absolute names.
  type: str
  returned: success
  sample: "example.com.\t3600\tIN\tMX\t10 mx1.example.net.\n"
changes:
  description: The record sets that were changed, or in check mode would be.
  type: list
  elements: dict
  returned: success
  contains:
    zone:
      description: The zone.
      type: str
    record:
      description: The name.
      type: str
    type:
      description: The type.
      type: str
    added:
      description: The values that were added; all of them when their time to live changes.
      type: list
      elements: str
    removed:
      description: The values that were removed.
      type: list
      elements: str
    ttl:
      description: The time to live of the record set.
      type: int
verification:
  description: What the DNS says of each record.
  type: list
  elements: dict
  returned: when O(state=verified)
  contains:
    domain:
      description: The mail domain, or the mail host for its own records.
      type: str
    kind:
      description: One of O(records).
      type: str
    record:
      description: The name.
      type: str
    type:
      description: The type.
      type: str
    status:
      description: >-
        V(ok), V(missing), V(different), or V(unreachable) when no server could be asked. When several servers are asked the worst
        counts.
      type: str
    expected:
      description: The values that the domain needs.
      type: list
      elements: str
    found:
      description: The values of that kind that are there.
      type: list
      elements: str
    server:
      description: The server that says so.
      type: str
    why:
      description: What differs and what to do, or which servers could not be asked; empty when there is nothing to say.
      type: str
all_ok:
  description: Whether the status of all records is V(ok).
  type: bool
  returned: when O(state=verified)
errors:
  description: Each thing that is wrong apart, as a message, the option or record it is about, and what to do.
  type: list
  elements: dict
  returned: failure
  sample: [{"message": "192.0.2.53 does not know the TSIG key mail (BADKEY)", "where": "provider.tsig_name", "remedy": "Check"}]
"""

from ansible_collections.fleetpost.mail.plugins.module_utils._dns_run import run_dns
from ansible_collections.fleetpost.mail.plugins.module_utils._module import dns_module, new_module
from ansible_collections.fleetpost.mail.plugins.module_utils._specs import DNS


def main() -> None:
    dns_module(new_module(DNS), run_dns)


if __name__ == "__main__":
    main()

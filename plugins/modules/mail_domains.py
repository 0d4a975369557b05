#!/usr/bin/python
# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mail_domains
short_description: Manage all mail domains of a host in one run
version_added: 1.0.0
description:
  - Makes the mail domains and mailboxes of a host as they are declared, any number of them in one task, with one lock and
    one plan.
  - An option that is omitted leaves what is there as it is, or takes its default for a new domain or mailbox. What is
    given is exactly so. Nothing is removed because it was not mentioned, unless O(prune=true).
  - All errors of all entries come at once, with their positions, and then nothing is written.
  - The declaration travels to the host as one file that only its owner can read and that is removed afterwards.
author:
  - fleetpost.mail contributors (@fleetpost)
extends_documentation_fragment:
  - fleetpost.mail.common
  - fleetpost.mail.common.removal
  - fleetpost.mail.common.password_scheme
  - fleetpost.mail.common.look
  - fleetpost.mail.common.certifying
  - fleetpost.mail.common.attributes
options:
  domains:
    description:
      - The mail domains. Exactly one of O(domains), O(src) and O(restore_generation) is needed.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - The mail domain. An internationalised name may be written with its own letters; it is stored as its A-label.
        type: str
        required: true
        aliases: [domain]
      owner:
        description:
          - The system user that the domain's mail belongs to, so that file-system quotas count for that user.
          - Changing it re-owns the mail. Users with a uid below 100 and the accounts of servers cannot own mail.
          - A new domain belongs to C(vmail) when this is omitted.
        type: str
      enabled:
        description:
          - Whether the domain is on. Nobody logs in to a disabled domain by IMAP, POP3 or SMTP, open sessions end, and
            O(domains[].disabled_action) says what happens to incoming mail. Mail already queued waits.
          - A new domain is enabled when this is omitted.
        type: bool
      disabled_action:
        description:
          - What senders to a disabled domain get.
          - V(reject) answers 550 5.2.1, V(defer) answers 450, V(accept) goes on delivering.
          - V(reject) for a new domain when this is omitted.
        type: str
        choices: [reject, defer, accept]
      suspended:
        description:
          - Whether the administrator has switched the domain off, like O(domains[].enabled=false), whatever O(domains[].enabled) says. Only
            the administrator can say so, see O(acting_as).
          - A new domain is not suspended when this is omitted.
        type: bool
      suspended_reason:
        description:
          - Why, in one line, for those who look.
        type: str
      default_action:
        description:
          - What happens to mail for an address of the domain that does not exist.
          - V(reject) answers 550 5.1.1 before any data. V(discard) accepts and deletes it, with a line in the log.
          - V(forward_to_address) sends it to the one address in O(domains[].forward_to). V(forward_to_domain) looks the same
            local part up among the addresses of the mail domain in O(domains[].forward_to); what is not there either is
            rejected.
          - V(reject) for a new domain when this is omitted.
        type: str
        choices: [reject, discard, forward_to_address, forward_to_domain]
      forward_to:
        description:
          - The address, or the mail domain of this host, that O(domains[].default_action) forwards to.
          - An address in a mail domain of this host must exist.
        type: str
      ip_addresses:
        description:
          - IPv4 and IPv6 addresses of this host that the domain's mail is sent from. With addresses of one family only, its
            mail leaves over that family only.
          - An empty list sends from the host's own address again.
        type: list
        elements: str
      dkim:
        description:
          - How the domain's outgoing mail is signed. Signed is mail of those who may use its addresses (a login, a process of
            its owner, a relay host), never mail that is only forwarded. An empty dictionary is enough for a key of 2048 bits
            under the selector C(dkim).
          - While a key cannot be read the domain's mail waits; it never leaves unsigned.
          - A new domain does not sign when this is omitted.
        type: dict
        suboptions:
          state:
            description:
              - V(absent) ends signing at once and removes the keys. Their TXT records stay until
                M(fleetpost.mail.mail_domain_dns) withdraws them, which has to happen first, as long as the keys are known.
            type: str
            choices: [present, absent]
            default: present
          selector:
            description:
              - The name under which the key is published, C(SELECTOR._domainkey.DOMAIN).
              - V(dkim) for a domain that does not sign yet when this is omitted. Another selector than the one in use needs
                O(domains[].dkim.rotate), because a key that nobody has published verifies nothing.
            type: str
          key_type:
            description:
              - V(both) signs twice, with an RSA key under the selector and an Ed25519 key (RFC 8463) under
                C(SELECTOR-ed25519), because not every receiver knows the latter.
              - V(rsa) for a new key when this is omitted.
            type: str
            choices: [rsa, ed25519, both]
          key_length:
            description:
              - The length of the RSA key in bits. 4096 is accepted with a warning, because its record does not fit one UDP
                packet everywhere and some receivers do not verify it.
              - 2048 for a new key when this is omitted.
            type: int
            choices: [1024, 2048, 4096]
          service_type:
            description:
              - The C(s=) of the record, V(email), or V(*) for all services. V(email) for a new key when this is omitted.
            type: str
          private_key:
            description:
              - A private key of your own in PEM form, RSA or Ed25519, instead of one that is made on the host. It also brings
                back a key that was lost. It is never shown.
            type: str
          regenerate:
            description:
              - V(never) makes a key where a selector has none, and never replaces one. Asking for another length or type
                under the same selector is an error, and so is a key that was lost.
              - V(fail) makes no key at all.
              - V(always) replaces at once a key that is lost or other than asked, so mail fails to verify until the new
                record is known everywhere. A key that is as asked stays.
            type: str
            choices: [never, fail, always]
            default: never
          rotate:
            description:
              - Change to a new selector without one message that is unsigned or cannot be verified. Each run moves as far as
                it may and returns in RV(waiting) what it waits for; a run every day is a complete rotation.
              - The other options then describe the key of the new selector. Leave the option as it is when the rotation is
                over, it has no effect then. Naming the selector in use gives a rotation up that has not switched yet.
            type: dict
            suboptions:
              to:
                description: The new selector, one that the domain has not used before.
                type: str
                required: true
              retire_after:
                description: How long the old record stays after the switch, for messages under way, such as V(7d) or V(12h).
                type: str
                default: 7d
      dmarc:
        description:
          - The domain's DMARC record (RFC 7489), which M(fleetpost.mail.mail_domain_dns) publishes. An empty dictionary is
            the host's default, O(dmarc_template).
          - A new domain has none when this is omitted.
        type: dict
        suboptions:
          state:
            description: V(absent) ends it.
            type: str
            choices: [present, absent]
            default: present
          template:
            description:
              - The whole record. C({domain}) and C({owner_email}) are filled in; the latter is C(postmaster@DOMAIN), which
                every domain answers.
              - O(dmarc_template) when this and all other options are omitted.
            type: str
          policy:
            description:
              - What receivers should do with mail that is not aligned, C(p=). With this instead of a template the record is
                made of the options.
            type: str
            choices: [none, quarantine, reject]
          subdomain_policy:
            description: The same for names below the domain, C(sp=).
            type: str
            choices: [none, quarantine, reject]
          rua:
            description:
              - Addresses for reports of counts. An address in an unrelated domain needs a record there, C(DOMAIN._report._dmarc)
                (RFC 7489 section 7.1).
            type: list
            elements: str
          ruf:
            description: Addresses for reports of single messages.
            type: list
            elements: str
          pct:
            description: To how many percent of the mail the policy applies.
            type: int
          adkim:
            description: Whether the domain of a signature must be the same (V(s)) or may be a related one (V(r)).
            type: str
            choices: [r, s]
          aspf:
            description: The same for the domain of the envelope.
            type: str
            choices: [r, s]
      ssl:
        description:
          - The certificate that the domain's names are shown with, by SNI (RFC 6066 section 3), on the ports of Exim and Dovecot.
            Exim shows a new one at once, Dovecot after a reload at the end of the run, in which no session ends. An empty
            dictionary is a self-signed certificate for V(mail.DOMAIN).
          - What is omitted here is as it is, or as the host's default says (see C(ssl_defaults)).
          - A new domain is shown with the host's own certificate when this is omitted.
        type: dict
        suboptions:
          state:
            description:
              - V(absent) shows the domain with the host's own certificate again. A certificate that no domain names any more is
                removed from both servers, and certbot forgets it.
            type: str
            choices: [present, absent]
            default: present
          alias:
            description:
              - The name that users and their mail programs connect to. The files are called after it, and several domains may
                share one.
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
              - V(selfsigned) is made on the host. V(provided) is given here, or as files on the host. V(acme) comes from a
                certificate authority such as Let's Encrypt, through certbot, which the role P(fleetpost.mail.acme#role) installs
                and which renews it between runs.
              - A certificate that is not there yet, or cannot be got, never leaves a name without TLS. What was there before
                stays, or a self-signed one stands in.
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
              - For how long a self-signed certificate is valid when it is made; one that is there stays. V(3650) for a new one
                when this is omitted.
            type: int
          renew_before_days:
            description:
              - How many days before its end a certificate is renewed by a run, and never before two thirds of its life are over.
                The timer of certbot has a rule of its own, which comes first.
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
              - A file on the host with the certificate of an internal authority that signs the TLS of C(acme_directory) itself
                and that the host does not trust anyway.
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
              - The private key of the certificate in PEM form, without a passphrase. It is never shown. When certificate and key
                are omitted, what is there is kept.
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
      greylisting:
        description:
          - Whether a host that has not written to the recipient for a while is asked to try again; servers do, and what sends
            spam often does not.
          - Off for a new domain when this is omitted.
        type: bool
      spamassassin:
        description:
          - Whether incoming mail is judged by SpamAssassin, which the role P(fleetpost.mail.spamassassin#role) installs.
            O(domains[].spam_action) says what becomes of spam.
          - Off for a new domain when this is omitted.
        type: bool
      spam_action:
        description:
          - What becomes of mail that has O(domains[].spam_threshold) points.
          - V(junk) delivers it to the folder Junk, V(tag) only marks it in its header, V(reject) answers 550 at the end of
            the data, when all recipients of the message want that.
          - V(junk) for a new domain when this is omitted.
        type: str
        choices: [junk, tag, reject]
      spam_threshold:
        description:
          - From how many points of SpamAssassin on mail is spam, from 0.1 to 999 with at most one decimal.
          - 5.0 for a new domain when this is omitted.
        type: float
      spam_reject_threshold:
        description:
          - From how many points on mail is rejected whatever O(domains[].spam_action) says. V(0) is never. Otherwise it may
            not be below O(domains[].spam_threshold).
          - V(0) for a new domain when this is omitted.
        type: float
      antivirus:
        description:
          - Whether incoming mail is scanned by ClamAV, which the role P(fleetpost.mail.clamav#role) installs. A
            virus is refused when all recipients want that, and else dropped for those who do.
          - Off for a new domain when this is omitted.
        type: bool
      outgoing_limit:
        description:
          - How many messages an hour the domain's mailboxes may send together; each recipient
            counts. V(0) is no limit, V(1000000) the highest one.
          - No limit for a new domain when this is omitted.
        type: int
      mailbox_filters:
        description:
          - Whether a mailbox may have filters of its own that differ from the domain's. With V(false), giving one to a
            mailbox is an error, and so is V(false) itself while a mailbox has some.
          - Allowed for a new domain when this is omitted.
        type: bool
      allow_senders:
        description:
          - Senders whose mail is neither greylisted nor judged by SpamAssassin, while viruses are looked for
            all the same. A sender is an address (V(alice@example.net)), a domain
            (V(example.net)), or a domain with a dot in front (V(.example.net)) for all domains below it, without itself.
          - The list is the whole list, and an empty one empties it. A sender's address is easily forged; a host's is not, see
            O(domains[].allow_hosts).
        type: list
        elements: str
      block_senders:
        description:
          - Senders whose mail is refused, written as in O(domains[].allow_senders).
        type: list
        elements: str
      allow_hosts:
        description:
          - Hosts whose mail is neither greylisted nor judged by SpamAssassin, as an
            IPv4 or IPv6 address (V(192.0.2.1)) or a network (V(192.0.2.0/24),
            V(2001:db8::/32)). The list is the whole list, and an empty one empties it.
        type: list
        elements: str
      block_hosts:
        description:
          - Hosts whose mail is refused, written as in O(domains[].allow_hosts).
        type: list
        elements: str
      mailboxes:
        description:
          - The mailboxes and forwards of the domain. With O(prune=true) a given list is the whole list.
        type: list
        elements: dict
        suboptions:
          name:
            description: The local part, stored in lower case.
            type: str
            required: true
          password:
            description:
              - The password in plain text, hashed on the host by Dovecot's own tool. It never leaves the task's transport to the
                host in any other form and is never shown.
              - A new mailbox needs this or O(domains[].mailboxes[].password_hash).
            type: str
          password_hash:
            description:
              - The hash as C(doveadm pw) prints it, V({SCHEME}hash), or a crypt(3) hash.
            type: str
          update_password:
            description:
              - V(on_create) sets the password of a new mailbox only, so that users can change theirs. V(always) sets it whenever
                it differs.
            type: str
            choices: [on_create, always]
            default: on_create
          quota:
            description:
              - How much mail the mailbox may hold, such as V(500M) or V(2G), in binary units. V(none) lifts the limit.
              - No limit for a new mailbox when this is omitted.
            type: str
          enabled:
            description:
              - Whether its user may log in and mail to it is accepted; senders to a disabled mailbox get 550 5.2.1.
              - A new mailbox is enabled when this is omitted.
            type: bool
          aliases:
            description:
              - Further addresses of this mailbox, added to those that are there. With O(prune=true) the list is the whole list.
              - Local parts, or addresses of the same domain. An empty list removes all.
              - An address that is a mailbox now becomes an alias only when it is said what happens to its mail, with
                O(removed_mail) or O(prune=true).
            type: list
            elements: str
          forward_to:
            description:
              - Addresses that mail is forwarded to. Targets in mail domains of this host must exist.
              - With O(domains[].mailboxes[].keep_copy=false) and no password this is an address that only forwards, without a
                mailbox.
              - An empty list ends forwarding.
            type: list
            elements: str
          keep_copy:
            description:
              - Whether mail that is forwarded is delivered to the mailbox too. Yes for a new mailbox when this is omitted.
            type: bool
          senders:
            description:
              - Further addresses that the user may send as, besides those of its own domain, or V(*@DOMAIN) for all of a domain.
            type: list
            elements: str
          filters:
            description:
              - What differs from the filters of its domain, in the options of O(domains). What is not in it is as the domain
                has it.
              - When it is omitted it stays as it is; what is given is all of it, and an empty dictionary makes everything as
                in the domain.
            type: dict
            suboptions:
              greylisting:
                description:
                  - Whether hosts that are not known are asked to try again.
                type: bool
              spamassassin:
                description:
                  - Whether its mail is judged by SpamAssassin.
                type: bool
              spam_action:
                description:
                  - What becomes of its spam.
                type: str
                choices: [junk, tag, reject]
              spam_threshold:
                description:
                  - From how many points on its mail is spam.
                type: float
              spam_reject_threshold:
                description:
                  - From how many points on its mail is rejected; V(0) is never.
                type: float
              antivirus:
                description:
                  - Whether its mail is scanned by ClamAV.
                type: bool
              outgoing_limit:
                description:
                  - How many messages an hour this mailbox alone may send, besides the limit of its domain; V(0) is no limit
                    of its own.
                type: int
  owners:
    description:
      - Owners of mail domains with their limits, as in M(fleetpost.mail.mail_owner). The run as a whole is held to them.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - The owner, a system user in lower-case letters.
        type: str
        required: true
      state:
        description:
          - V(absent) ends all limits. It is refused while the owner has mail domains, or users as their reseller.
        type: str
        choices: [present, absent]
        default: present
      reseller:
        description:
          - Who stands above the owner and may do for it what it may itself, by O(acting_as). An empty one is nobody but the
            administrator. Resellers have no reseller themselves.
        type: str
      max_domains:
        description:
          - How many mail domains it may have. V(-1) is no limit.
        type: int
      max_mailboxes:
        description:
          - How many mailboxes its domains may have together. V(-1) is no limit.
        type: int
      max_mailbox_quota:
        description:
          - How large the quota of one mailbox may be, such as V(5G); each new mailbox then needs one. V(none) is no limit.
        type: str
      total_quota:
        description:
          - How large the quotas of all its mailboxes may be together; each new mailbox then needs one, and Dovecot, which holds each
            mailbox to its quota, holds their sum. V(none) is no limit.
        type: str
      outgoing_limit:
        description:
          - How many messages an hour all its domains may send together, and each recipient counts. V(0) is no limit.
        type: int
      ssl_allowed:
        description:
          - Whether its domains may have certificates of their own. Yes for a new owner when this is omitted.
        type: bool
      allowed_ips:
        description:
          - Addresses and networks of which its domains may have C(ip_addresses). An empty list is no limit.
        type: list
        elements: str
      delegated_domains:
        description:
          - Domains that the owner may create itself, by O(acting_as). C(*.example.com) stands for all names below C(example.com).
          - Without it the owner can create none.
        type: list
        elements: str
  src:
    description:
      - A JSON or YAML file on the controller, vaulted or not, that holds the list, or a dictionary with the key C(domains), and
        perhaps C(owners).
      - JSON is much faster than YAML for thousands of domains.
    type: path
  remote_src:
    description:
      - With V(true), O(src) is a JSON file on the host.
    type: bool
    default: false
  dmarc_template:
    description:
      - What an empty C(dmarc) means, the host's default.
    type: str
    default: v=DMARC1; p=none
  prune:
    description:
      - Removes domains that are not listed, and in domains with a list of C(mailboxes) the mailboxes, forwards and aliases
        that are not.
    type: bool
    default: false
  prune_limit:
    description:
      - The brake of O(prune). It refuses to remove more than this many, or this percentage, of the host's domains and of
        its mailboxes.
      - An empty list is refused unless this is V(100%).
      - The same brake holds for what O(restore_generation) would remove.
    type: str
    default: 10%
  restore_generation:
    description:
      - Makes the host as its tables were before one of the last ten runs that changed a table. M(fleetpost.mail.mail_domain_info)
        tells their numbers (RV(fleetpost.mail.mail_domain_info#module:generations)), and each line of the log names the one
        before it.
      - It is planned like any other change, with check mode and diff, and is itself a generation, so that it can be undone too.
      - What came after the generation goes, with O(removed_mail) and within O(prune_limit). Passwords are those of then.
      - Mail does not come back by itself, nor do DKIM keys or certificates that are gone. A lost key is made anew under its
        selector, and its TXT record must be published again. A lost certificate is made or ordered again, or a self-signed one stands in.
    type: int
seealso:
  - module: fleetpost.mail.mail_domain
  - module: fleetpost.mail.mailbox
  - module: fleetpost.mail.mail_domain_info
"""

EXAMPLES = r"""
- name: Two domains and their mailboxes
  fleetpost.mail.mail_domains:
    domains:
      - name: example.com
        owner: alice
        mailboxes:
          - name: info
            password_hash: "{{ vault_info_hash }}"
            quota: 1G
            aliases: [sales]
            filters:
              spam_action: tag
        dkim:
          key_type: both
        dmarc: {}
        greylisting: true
        spamassassin: true
        block_hosts: [198.51.100.0/24]
      - name: example.net
        default_action: forward_to_domain
        forward_to: example.com

- name: The whole host from a vaulted file; what is not in it goes
  fleetpost.mail.mail_domains:
    src: "mail/{{ inventory_hostname }}.json"
    prune: true
    removed_mail: archive

- name: See what going back to before a run would change, with --check --diff
  fleetpost.mail.mail_domains:
    restore_generation: 12
  check_mode: true
  diff: true
"""

RETURN = r"""
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
  sample: {"domains": {"created": 1, "changed": 0, "removed": 0, "total": 12}}
actions:
  description: Every change, done or in check mode planned, sorted by domain. A new domain is one action.
  type: list
  elements: dict
  returned: always
  contains:
    domain:
      description: The mail domain; empty for what belongs to the whole host.
      type: str
      sample: example.com
    action:
      description: What is done, such as V(create), V(change), V(remove), V(create mailbox) or V(change alias).
      type: str
      sample: change
    detail:
      description: What exactly. Never a secret.
      type: str
      sample: "default_action: reject -> discard"
waiting:
  description:
    - Changes of DKIM keys that are under way, with their C(stage), the moment of the next one (C(until), empty while that is
      not known) and what they wait for (C(reason)). A certificate that a later run orders is here as well, under its name with the
      stage V(ordered).
  type: list
  elements: dict
  returned: always
  sample: [{"domain": "example.com", "stage": "published", "until": "", "reason": "publish the TXT of s2._domainkey.example.com"}]
errors:
  description: Each error apart, with its C(message), C(where) it is (an option path or a file and line) and a C(remedy).
  type: list
  elements: dict
  returned: failure
"""

from ansible_collections.fleetpost.mail.plugins.module_utils._declaration import declaration_of_domains
from ansible_collections.fleetpost.mail.plugins.module_utils._module import new_module, run_module
from ansible_collections.fleetpost.mail.plugins.module_utils._source import read_source
from ansible_collections.fleetpost.mail.plugins.module_utils._specs import (
    CERTIFYING,
    DMARC_TEMPLATE,
    DOMAINS,
    LOOK,
    PASSWORD_SCHEME,
    REMOVAL,
)


def main() -> None:
    module = new_module(
        {**DOMAINS, **DMARC_TEMPLATE, **LOOK, **CERTIFYING, **PASSWORD_SCHEME, **REMOVAL},
        mutually_exclusive=[("domains", "src", "restore_generation")],
        required_one_of=[("domains", "src", "restore_generation")],
    )
    run_module(module, lambda: declaration_of_domains(*read_source(module.params)))


if __name__ == "__main__":
    main()

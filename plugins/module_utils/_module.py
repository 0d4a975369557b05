# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only file that knows AnsibleModule: specs, check mode, errors, results."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.fleetpost.mail.plugins.module_utils._allowed_options import refused_options
from ansible_collections.fleetpost.mail.plugins.module_utils._declaration import domain_patterns, job_of
from ansible_collections.fleetpost.mail.plugins.module_utils._declared import Declaration
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError, MailErrors
from ansible_collections.fleetpost.mail.plugins.module_utils._inventory import Question, certificate_state, take_inventory
from ansible_collections.fleetpost.mail.plugins.module_utils._report import changed_domains, key_records
from ansible_collections.fleetpost.mail.plugins.module_utils._run import Outcome, note_refusals, run
from ansible_collections.fleetpost.mail.plugins.module_utils._specs import COMMON, Spec
from ansible_collections.fleetpost.mail.plugins.module_utils._walk import Request

# A run builds some hundred thousand small values that live until its end: looking for cycles among them costs a fifth of
# the time and finds none. Memory is given back by the process ending.
gc.disable()


def new_module(spec: Spec, **rules: Any) -> AnsibleModule:
    """An AnsibleModule with the options of a module and those common to all."""
    return AnsibleModule(argument_spec={**COMMON, **spec}, supports_check_mode=True, **rules)


def run_module(module: AnsibleModule, declare: Callable[[], Declaration], with_dns_records: bool = False) -> None:
    """Runs one changing module to its end: the one error boundary. `declare` turns its options into a declaration.

    with_dns_records: the result names the TXT records of the declared domains' keys.
    """
    try:
        request = _request(module)
        declaration = _allowed(module, declare())
        outcome = run(declaration, request)
    except MailError as error:
        fail(module, error)
    else:
        more: dict[str, Any] = {}
        if "dns_timeout" in module.params:
            more["waiting"] = [waiting._asdict() for waiting in outcome.waiting]
        if with_dns_records:
            more["dns_records"] = key_records(outcome.desired, [domain.name for domain in declaration.domains])
        _exit(module, outcome, more)


def certificate_module(module: AnsibleModule, declare: Callable[[], Declaration]) -> None:
    """Runs the module of one certificate to its end."""
    try:
        request = _request(module)
        declaration = _allowed(module, declare())
        names = [domain.name for domain in declaration.domains]
        before = certificate_state(request, names[0]) if names else {}
        outcome = run(declaration, request)
        after = before if module.check_mode else certificate_state(request, names[0])
    except MailError as error:
        fail(module, error)
    else:
        writes = any(action.action in ("create certificate", "write certificate", "order certificate") for action in outcome.actions)
        renewed = writes if module.check_mode else before.get("fingerprint") != after.get("fingerprint")
        _exit(module, outcome, {"certificate": after, "renewed": renewed})


def _allowed(module: AnsibleModule, declaration: Declaration) -> Declaration:
    """The declaration, unless an option is refused to whom the run acts for: then nothing at all is looked at."""
    _refuse_options(module, declaration.errors)
    return declaration


def _refuse_options(module: AnsibleModule, errors: Sequence[MailError] = ()) -> None:
    """Raises MailErrors, with other errors that are known, when an option is refused to whom the run acts for."""
    defaults = {name: rule.get("default") for name, rule in module.argument_spec.items()}
    refusals = list(refused_options(module.params, defaults))
    if refusals:
        raise MailErrors([*errors, *refusals])


def _request(module: AnsibleModule) -> Request:
    parameters = module.params
    return Request(
        parameters["root"],
        parameters["layout"],
        parameters["lock_timeout"],
        module.check_mode,
        parameters.get("password_scheme") or "BLF-CRYPT",
        tuple(parameters.get("resolvers") or ()),
        parameters.get("dns_timeout") or 20.0,
        acting_as=parameters["acting_as"] or "",
        job=job_of(parameters),
        module=_name_of(module),
    )


def _name_of(module: AnsibleModule) -> str:
    """What the log calls it: tasks may name it with or without its collection."""
    return str(module._name).rpartition(".")[2]


def answer_module(module: AnsibleModule, check_dns: Callable[..., Any]) -> None:
    """Runs the info module to its end. `check_dns` is handed in, so that no other module carries the DNS code to the host."""
    parameters = module.params
    try:
        request = _request(module)
        _refuse_options(module)
        if parameters["history_limit"] < 1:
            raise MailError("a history has at least one line", "history_limit")
        question = Question(
            tuple(domain_patterns(parameters["names"] or ())),
            parameters["owner"],
            parameters["reseller"],
            parameters["enabled"],
            with_use="use" in parameters["subset"],
            with_health="health" in parameters["subset"],
            with_mailboxes="mailboxes" in parameters["subset"],
            export_file=parameters["export_file"],
            with_tls=parameters["check_tls"],
            history_limit=parameters["history_limit"] if parameters["history"] else None,
        )
        inventory = take_inventory(request, question, partial(check_dns, parameters) if parameters["check_dns"] else None)
    except MailError as error:
        fail(module, error)
    else:
        module.exit_json(**inventory._asdict())


def import_module(module: AnsibleModule, read: Callable[[Mapping[str, Any], bool], dict[str, Any]]) -> None:
    """Runs the module that reads foreign files to its end. `read` is handed in, so that no other module carries its code to the host."""
    try:
        _refuse_options(module)
        result = read(module.params, module.check_mode)
    except MailError as error:
        fail(module, error)
    else:
        module.exit_json(**result)


def dns_module(module: AnsibleModule, run_dns: Callable[[Mapping[str, Any], bool], Any]) -> None:
    """Runs the DNS module to its end. `run_dns` is handed in, so that no other module carries the DNS code to the host."""
    try:
        _refuse_options(module)
        outcome = run_dns(module.params, module.check_mode)
    except MailError as error:
        fail(module, error)
    else:
        for warning in outcome.warnings:
            module.warn(warning)
        if outcome.failures:
            _fail_with(module, MailErrors(outcome.failures, outcome.consequence), outcome.result)
        module.exit_json(**outcome.result)


def fail(module: AnsibleModule, error: MailError) -> None:
    """Ends a module with what is wrong; `errors` holds each error apart."""
    errors = error.errors if isinstance(error, MailErrors) else (error,)
    # What is wrong is told also where the log cannot be written.
    with contextlib.suppress(MailError):
        note_refusals(errors, _request(module))
    module.fail_json(msg=str(error), errors=[_as_result(one) for one in errors])


def _as_result(error: MailError) -> dict[str, str]:
    return {"message": error.message, "where": error.where, "remedy": error.remedy}


def _fail_with(module: AnsibleModule, error: MailErrors, result: Mapping[str, Any]) -> None:
    module.fail_json(msg=str(error), errors=[_as_result(one) for one in error.errors], **result)


def _exit(module: AnsibleModule, outcome: Outcome, more: dict[str, Any]) -> None:
    result: dict[str, Any] = {
        **more,
        "changed": outcome.changed,
        "actions": [action._asdict() for action in outcome.actions],
        "changed_domains": changed_domains(outcome.actions),
        "counts": outcome.counts,
        "diff": outcome.diff,
    }
    for warning in outcome.warnings:
        module.warn(warning)
    if outcome.failures:
        _fail_with(module, MailErrors(outcome.failures, "the rest was done"), result)
    module.exit_json(**result)

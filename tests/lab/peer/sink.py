# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The outside world's mail server: takes every message and writes down what it saw.

One JSON file a message under the directory given: `time`, `peer_ip`, `helo`, `tls`, `mail_from`,
`rcpt_tos`, `content` (the raw message, one character a byte: encode it as latin-1).

Recipients at tempfail.test get 451 as long as there is no file `tempfail-over` beside the
messages, recipients at refuse.test always 550.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
import sys
import time
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP

PORT = 25
SIZE_LIMIT = 50 * 1024 * 1024


class Sink:
    """aiosmtpd's handler: its method names are aiosmtpd's."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = itertools.count()

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, rcpt_options: list[str]
    ) -> str:
        domain = address.rpartition("@")[2].lower()
        if domain == "refuse.test":
            return "550 5.1.1 nobody here takes mail"
        if domain == "tempfail.test" and not (self._directory / "tempfail-over").exists():
            return "451 4.3.0 come back later"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(rcpt_options)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        record = {
            "time": time.time(),
            "peer_ip": session.peer[0],
            "helo": session.host_name,
            "tls": session.ssl is not None,
            "mail_from": envelope.mail_from,
            "rcpt_tos": envelope.rcpt_tos,
            "content": envelope.content.decode("latin-1"),
        }
        self._write(record)
        return "250 2.0.0 written down"

    def _write(self, record: dict[str, Any]) -> None:
        name = f"{time.time_ns()}-{next(self._numbers)}"
        unfinished = self._directory / f"{name}.unfinished"
        unfinished.write_text(json.dumps(record), encoding="ascii")
        unfinished.rename(self._directory / f"{name}.json")


async def serve(directory: Path, certificate: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    handler = Sink(directory)
    loop = asyncio.get_running_loop()

    def session() -> SMTP:
        return SMTP(handler, hostname="mx.test", data_size_limit=SIZE_LIMIT, tls_context=context, loop=loop)

    server = await loop.create_server(session, host=None, port=PORT, backlog=200)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), Path(sys.argv[2])))

# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A page in headless Chromium, driven through its DevTools protocol over two pipes: nothing but the standard library."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

PROGRAM = shutil.which("chromium")


class Browser:
    """One page; to be used as a context."""

    def __init__(self, width: int = 1280, height: int = 900, is_dark: bool = False) -> None:
        self._directory = tempfile.mkdtemp(prefix="fleetpost-chromium-")
        to_read, self._to_write = os.pipe()
        self._to_read, to_write = os.pipe()
        assert PROGRAM, "chromium is not installed"
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe"]
        # The protocol has its ends at the descriptors 3 and 4.
        command = f'exec "$@" 3<&{to_read} 4>&{to_write}'
        words = ["bash", "-c", command, "bash", PROGRAM, *options, f"--user-data-dir={self._directory}", f"--window-size={width},{height}"]
        self._process = subprocess.Popen(words, pass_fds=(to_read, to_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(to_write)
        self._number = 0
        self._left = b""
        self._session = ""
        self.problems: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}])

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._session = ""
        with contextlib.suppress(OSError):
            self.call("Browser.close")
        self._process.wait(timeout=20)
        shutil.rmtree(self._directory, ignore_errors=True)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What the browser answers; what the page's console says in the meantime is kept in `problems`."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to_write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.problems.append(json.dumps(answer["params"]))

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            part = os.read(self._to_read, 1 << 20)
            if not part:
                raise RuntimeError("the browser has ended")
            self._left += part
        text, _zero, self._left = self._left.partition(b"\0")
        answer: dict[str, Any] = json.loads(text)
        return answer

    def open(self, path: Path, javascript: bool = True) -> float:
        """Opens a file; how many seconds that took until its scripts had run."""
        self.call("Emulation.setScriptExecutionDisabled", value=not javascript)
        began = time.perf_counter()
        self.call("Page.navigate", url=path.absolute().as_uri())
        while self.value("document.readyState") != "complete":
            time.sleep(0.02)
        return time.perf_counter() - began

    def value(self, expression: str) -> Any:
        """The value of an expression, or of the promise that it is."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def picture(self, path: Path, whole: bool = False) -> None:
        """Writes what is seen as PNG; the whole page, if wanted."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def printed(self, path: Path) -> None:
        """Writes what is printed as PDF."""
        path.write_bytes(base64.b64decode(self.call("Page.printToPDF", preferCSSPageSize=True)["data"]))

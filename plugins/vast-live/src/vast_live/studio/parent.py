"""A process that ends with the one that started it, even if that was killed."""

from __future__ import annotations

import os
import signal
import threading

__all__ = ["end_with_parent"]


def end_with_parent() -> None:
    """End this process in order when its standard input closes, whose other end the parent holds."""

    def wait() -> None:
        while os.read(0, 1024):  # not through sys.stdin, whose lock a thread must not hold when Python ends
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True, name="vast: parent").start()

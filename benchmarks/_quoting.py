"""A stage whose quoting device takes 39 ms for a quote and makes one at a time, as a confidential VM's does."""

from __future__ import annotations

from waykeep.demo.stage import Stage

QUOTE_MS = 39
_SLOWED = (
    "import threading, time; from waykeep.attestation import insecure; "
    "device, quote = threading.Lock(), insecure.quote; "
    f"slow = lambda *given: (device.acquire(), time.sleep({QUOTE_MS / 1000}), quote(*given), device.release())[2]; "
    "insecure.quote = slow"
)


class Slowed(Stage):
    """Its code is what is measured: the device is what differs, and it stands outside the measured parts."""

    def program(self, name: str, arguments: list[str]) -> list[str]:
        if name != "supervisor":
            return super().program(name, arguments)
        return self.patched(name, arguments, _SLOWED)

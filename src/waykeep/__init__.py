"""Waykeep: a private cloud of one's own for location data. Each room (sub-package) says its one duty."""

from __future__ import annotations

__version__ = "0.1.0"

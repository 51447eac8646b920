"""How long a poll may wait on this network. Pure; imports nothing of ours.

Proxies and firewalls cut connections that are silent for too long, some after 10 s. Each cut would
otherwise look like a CRM that is down, every time.
"""

from __future__ import annotations

from dataclasses import dataclass

SHORTEST_S = 2
_SUSPECT_S = 3.0  # what fails sooner did not fail for its silence
_SHARE = 0.75


@dataclass(frozen=True, slots=True)
class Patience:
    """``longest_s``: what this network has been seen to bear; None: never seen to cut."""

    longest_s: float | None = None

    def allowed_s(self, asked_s: int) -> int:
        """Whole seconds to ask for."""
        return asked_s if self.longest_s is None else min(asked_s, int(self.longest_s))

    def after_cut(self, lasted_s: float) -> Patience:
        """A waiting poll was cut after ``lasted_s``: wait a quarter less than that."""
        if lasted_s < _SUSPECT_S:
            return self
        bearable_s = max(lasted_s * _SHARE, SHORTEST_S)
        return Patience(bearable_s if self.longest_s is None else min(self.longest_s, bearable_s))

    def after_answer(self, lasted_s: float) -> Patience:
        """An answer after ``lasted_s``: where that was the whole wait, a little more next time."""
        if self.longest_s is None or lasted_s < int(self.longest_s):
            return self
        return Patience(self.longest_s * 1.05)

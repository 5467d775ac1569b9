"""An authenticator app in software: shows the one-time codes of an account, as a phone does."""

import time

import pyotp

from domain.one_time_codes import SECONDS, STEPS_OFF
from tests.support.factories import now

USED_WITHIN = 15  # seconds; a test that is slower than a code is valid would fail at some times of the minute


class AuthenticatorApp:
    """The app with the secret of an account."""

    def __init__(self, secret: str) -> None:
        self._codes = pyotp.TOTP(secret)
        self._next = 0

    def code(self) -> str:
        """A code that was not shown before, and that is valid for `USED_WITHIN` seconds at least.

        Two or three are valid at a time; who asks for more waits for the next.
        """
        asked = now().timestamp()
        step = max(self._next, int(asked + USED_WITHIN) // SECONDS - STEPS_OFF)
        time.sleep(max(0.0, (step - STEPS_OFF) * SECONDS - asked))
        self._next = step + 1
        return self._codes.generate_otp(step)

    def wrong(self) -> str:
        """A code that is not valid, nor was or will be within a minute."""
        valid = {self._codes.generate_otp(int(now().timestamp()) // SECONDS + off) for off in range(-3, 4)}
        return next(code for code in (f"{number:06}" for number in range(10)) if code not in valid)

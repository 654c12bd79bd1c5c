"""What a new password must be. Pure; after NIST SP 800-63B, 5.1.1.2: long, and none of those that are tried first."""

from __future__ import annotations

from auto_insurance.identity.errors import WeakPassword
from auto_insurance.identity.passwords import normal

MIN_LENGTH = 12
MAX_LENGTH = 256
COMMON = frozenset(
    """
    000000000000 111111111111 121212121212 123123123123 123321123321 123412341234 123456123456 1234567890
    12345678910 123456789012 1234567890123 12345678901234 123456789123 1q2w3e4r5t6y 1qaz2wsx3edc 987654321098
    abcabcabcabc abc123abc123 abcd1234abcd abcdefghijkl abcdefghijklm administrator adminadminadmin
    asdfghjklasdf asdfasdfasdf changemechangeme football1234 iloveyouforever iloveyou1234 iloveyouiloveyou
    letmeinletmein letmeinplease monkeymonkey p@ssw0rd1234 passw0rd1234 password1234 passwordpassword
    princess1234 q1w2e3r4t5y6 qazwsxedcrfv qwer1234qwer qwerty123456 qwertyqwerty qwertyuiop12 qwertyuiop123
    qwertyuiopasdf qwertyuiopas secretsecret sunshine1234 testtesttest trustno1trustno1 welcome12345
    welcomewelcome zaq12wsxcde3
    """.split()  # noqa: SIM905 - a list of words
)
"""The ones of 12 characters and more at the head of published lists."""
_PADDING = "0123456789!?.,;:-_#*+$%&@/ "
ROOTS = frozenset(
    """
    password passw0rd passwort admin administrator welcome qwerty qwertz letmein iloveyou changeme secret monkey
    dragon football baseball sunshine princess superman batman master login hello freedom whatever trustno abc
    """.split()  # noqa: SIM905 - a list of words
)
"""Words that are common with any digits and signs around them."""


def check_password_rules(password: str, *, username: str, email: str | None = None, field: str = "password") -> None:
    """Raise ``WeakPassword``, which names ``field``, unless a password is long, uncommon and no name."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise WeakPassword(f"A password has {MIN_LENGTH} to {MAX_LENGTH} characters.", field)
    if len(set(password)) < 4:
        raise WeakPassword("A password has at least 4 different characters.", field)
    folded = normal(password).casefold()
    if folded in {username.casefold(), (email or "").casefold()}:
        raise WeakPassword("A password is neither the username nor the e-mail address.", field)
    if folded in COMMON or folded.strip(_PADDING) in ROOTS | {"", username.casefold().strip(_PADDING)}:
        raise WeakPassword("This password is one of the commonest; take another one.", field)

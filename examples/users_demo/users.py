"""The users table, in memory: what a real service keeps in its database."""

from __future__ import annotations

import hashlib
import hmac
import os

import msgspec


class User(msgspec.Struct, kw_only=True):
    """One account. The password itself is kept nowhere."""

    user_id: str
    name: str
    email: str
    salt: bytes
    password_hash: bytes

    @classmethod
    def create(cls, user_id: str, name: str, email: str, password: str) -> User:
        """A new account; only the hash of ``password`` stays."""
        salt = os.urandom(16)
        return cls(user_id=user_id, name=name, email=email, salt=salt, password_hash=_hash(password, salt))

    def has_password(self, password: str) -> bool:
        """True when ``password`` is the one the account was made with; takes the same time if not."""
        return hmac.compare_digest(_hash(password, self.salt), self.password_hash)


def _hash(password: str, salt: bytes) -> bytes:
    # n is this small because the demo is about Kafka. A real service takes 2**14 or more, in a thread.
    return hashlib.scrypt(password.encode(), salt=salt, n=2**7, r=8, p=1)

"""The events of the users service: what may be said on which topic, and in which order."""

from __future__ import annotations

import msgspec

from tidings import event

USERS = "users"
SIGN_INS = "sign-ins"
TOPICS = (USERS, SIGN_INS)
PAYMENTS = "payments"
DEAD_LETTERS = "dead-letters"
# Events with one key keep their order within a topic: what must be read in order shares a topic.


@event("user.registered", topic=USERS, key="user_id")
class UserRegistered(msgspec.Struct, frozen=True):
    """Somebody has an account now."""

    user_id: str
    name: str
    email: str


@event("user.updated", topic=USERS, key="user_id")
class UserUpdated(msgspec.Struct, frozen=True):
    """A user changed the address we write to."""

    user_id: str
    email: str


@event("user.logged_in", topic=SIGN_INS, key="user_id")
class UserLoggedIn(msgspec.Struct, frozen=True):
    """A user gave the right password."""

    user_id: str


@event("user.login_failed", topic=SIGN_INS, key="user_id")
class LoginFailed(msgspec.Struct, frozen=True):
    """Somebody tried to be this user, who may not even exist."""

    user_id: str
    reason: str


@event("payment.taken", topic=PAYMENTS, key="payment_id")
class PaymentTaken(msgspec.Struct, frozen=True):
    """Money changed hands: nobody may ever lose this."""

    payment_id: str
    note: str

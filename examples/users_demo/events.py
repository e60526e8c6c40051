"""The events of the users service: what may be said on which topic, and in which order."""

from __future__ import annotations

from typing import Annotated

import msgspec

from tidings import Personal, Registry

registry = Registry(entity_action=True)

USERS = "users"
SIGN_INS = "sign-ins"
TOPICS = (USERS, SIGN_INS)
PAYMENTS = "payments"
DEAD_LETTERS = "dead-letters"
# Events with one key keep their order within a topic: what must be read in order shares a topic.


@registry.event("user.registered", topic=USERS, key="user_id")
class UserRegistered(msgspec.Struct, frozen=True):
    """Somebody has an account now."""

    user_id: str
    name: Annotated[str, Personal]
    email: Annotated[str, Personal]


@registry.event("user.updated", topic=USERS, key="user_id")
class UserUpdated(msgspec.Struct, frozen=True):
    """A user changed the address we write to."""

    user_id: str
    email: Annotated[str, Personal]


@registry.event("user.logged_in", topic=SIGN_INS, key="user_id")
class UserLoggedIn(msgspec.Struct, frozen=True):
    """A user gave the right password."""

    user_id: str


@registry.event("user.login_failed", topic=SIGN_INS, key="user_id")
class LoginFailed(msgspec.Struct, frozen=True):
    """Somebody tried to be this user, who may not even exist."""

    user_id: str
    reason: str


@registry.event("payment.taken", topic=PAYMENTS, key="payment_id")
class PaymentTaken(msgspec.Struct, frozen=True):
    """Money changed hands: nobody may ever lose this."""

    payment_id: str
    note: str

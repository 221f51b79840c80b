"""
The end of tokens: looked at with every ping, and at an end that comes before the next.

The timing wheel holds nothing further ahead than a ping, and one entry a connection.
"""

from functools import partial

from liveserver.gateway import codes
from liveserver.gateway.session import Session, Subscription


def check(session: Session) -> None:
    """Has the token, a subscription's token, or the account itself run out?"""
    identity = session.identity
    if identity is not None and not session.gateway.tokens.still_current(identity):
        session.connection.close(codes.INVALID_TOKEN)
        return
    if _over(session, _end(session)):
        session.connection.close(codes.EXPIRED)
        return
    for subscription in list(session.subscriptions.values()):
        if _over(session, _end_in(session, subscription)):
            session.end_subscription(subscription, codes.SUBSCRIPTION_EXPIRED)
    watch(session, *session.subscriptions.values())


def watch(session: Session, *subscriptions: Subscription) -> None:
    """Look when the first of these tokens, or that of the connection, ends before a ping."""
    ends = [_end(session), *(_end_in(session, one) for one in subscriptions)]
    first = min((end for end in ends if end is not None), default=None)
    if first is None:
        return
    gateway = session.gateway
    wait = first - gateway.now() / 1000
    if wait <= gateway.options.ping_seconds and not 0 < session.looks_at <= first:
        session.looks_at = first
        gateway.wheel.after(max(0.0, wait), partial(_look, session))


def _look(session: Session) -> None:
    session.looks_at = 0.0
    if session.connection.open:
        check(session)


def _end(session: Session) -> float | None:
    """When the grace of the connection's token is over, seconds since 1970."""
    options, identity = session.gateway.options, session.identity
    if identity is None or options.insecure or identity.expires_at is None:
        return None
    return identity.expires_at + (options.expired_grace_seconds if session.who.renews else 0.0)


def _end_in(session: Session, subscription: Subscription) -> float | None:
    """The same of a subscription's token."""
    if subscription.expires_at is None:
        return None
    return subscription.expires_at + session.gateway.options.expired_grace_seconds


def _over(session: Session, end: float | None) -> bool:
    return end is not None and session.gateway.now() / 1000 > end

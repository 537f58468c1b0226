"""People who may look at the store: accounts, sign-in, sessions, share links.

Whoever imports this needs argon2; nothing else in the store does.
"""

from .accounts import (
    Person,
    add_person,
    check_new_name,
    find_person,
    people,
    remove_person,
    set_access,
    set_password,
)
from .browsers import KNOWN_S, browser_label, known_browser
from .passwords import check_password, generate_password
from .secret import signing_key
from .sessions import (
    ABSOLUTE_S,
    IDLE_S,
    close_all_sessions,
    close_session,
    open_session,
    session_person,
)
from .shares import SHARE_MOST_S, Share, add_share, remove_share, share, shares
from .sign_in import SignIn, Try, ask, ask_again, look_at, network_of, sign_in

__all__ = [
    "ABSOLUTE_S",
    "IDLE_S",
    "KNOWN_S",
    "SHARE_MOST_S",
    "Person",
    "Share",
    "SignIn",
    "Try",
    "add_person",
    "add_share",
    "ask",
    "ask_again",
    "browser_label",
    "check_new_name",
    "check_password",
    "close_all_sessions",
    "close_session",
    "find_person",
    "generate_password",
    "known_browser",
    "look_at",
    "network_of",
    "open_session",
    "people",
    "remove_person",
    "remove_share",
    "session_person",
    "set_access",
    "set_password",
    "share",
    "shares",
    "sign_in",
    "signing_key",
]

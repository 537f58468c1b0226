"""What all pages share: the store, what is known of it, and the key that signs."""

from __future__ import annotations

import hashlib

from itsdangerous import BadSignature, Signer
from sqlalchemy import Engine
from starlette.requests import HTTPConnection

from standfast.store.people import signing_key

from .judgements import Judgements
from .rankings import Rankings
from .sign_ins import SignIns

SESSION_COOKIE = "standfast_session"
VISIT_COOKIE = "standfast_visit"
#: With the label of an account behind it.
KNOWN_COOKIE = "standfast_known_"


class Site:
    """One dashboard over one store."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.judgements = Judgements(engine)
        self.rankings = Rankings(engine, self.judgements)
        self.sign_ins = SignIns()
        self._key = signing_key(engine)

    def signed(self, text: str, purpose: str) -> str:
        """``text`` with a signature that is good for one purpose."""
        return self._signer(purpose).sign(text).decode()

    def unsigned(self, signed: str, purpose: str) -> str | None:
        """The text that was signed for this purpose, None for anything else."""
        try:
            return self._signer(purpose).unsign(signed.encode("utf-8", "replace")).decode()
        except (BadSignature, UnicodeDecodeError):
            return None

    def seal(self, text: str, purpose: str) -> str:
        """The signature alone, to be compared in constant time."""
        return self._signer(purpose).get_signature(text).decode()

    def _signer(self, purpose: str) -> Signer:
        return Signer(self._key, salt=f"standfast.{purpose}", digest_method=hashlib.sha256)

    def close(self) -> None:
        """Ends what works beside the pages, and lets go of the store."""
        self.rankings.close()
        self.engine.dispose()


def site_of(connection: HTTPConnection) -> Site:
    """The site that a request is for."""
    site: Site = connection.app.state.site
    return site

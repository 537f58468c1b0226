"""Public keys of OpenSSH (sshd(8), AUTHORIZED_KEYS FILE FORMAT): what lets an admin in."""

from __future__ import annotations

import base64
import binascii

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

#: What Debian's sshd takes; DSA is none of them.
_KINDS = (
    "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa",
    "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
)  # fmt: skip
#: Shorter RSA keys are not to be used any more (NIST SP 800-131A).
_RSA_BITS = 2048


def public_key(text: str) -> str:
    """One line as in a file ``.pub``, without spaces around it.

    Raises ValueError, with what is wrong, unless it holds a whole key: its kind, and numbers of the
    length that belong to this kind and lie on its curve.
    """
    line = text.strip()
    if "PRIVATE KEY" in text:
        raise ValueError("this is a private key: put in the public one, the line of the file .pub")
    kind, _, rest = line.partition(" ")
    if kind not in _KINDS or not rest or not line.isprintable():
        raise ValueError("must be a public key as in a file .pub: 'ssh-ed25519 AAAA… name'")
    encoded = rest.split()[0]
    try:
        base64.b64decode(encoded, validate=True)
        key = load_ssh_public_key(f"{kind} {encoded}".encode())
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        raise ValueError(
            f"is no whole key of the kind {kind}: a character is missing or another one;"
            " copy the line of the file .pub anew"
        ) from None
    if isinstance(key, RSAPublicKey) and key.key_size < _RSA_BITS:
        raise ValueError(
            f"is an RSA key of {key.key_size} bits, which is too weak: at least {_RSA_BITS}, or"
            " better a new one by `ssh-keygen -t ed25519`"
        )
    return line

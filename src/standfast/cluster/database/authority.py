"""The site's own certificate authority, and a certificate for each server, signed by it.

Servers trust no other for replication: who is let in shows a certificate with the name that
belongs to its account, and who is called shows one with the address that was called.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: As long as the site will live: nothing else than these servers trusts them, and a replication
#: that stops on a day years ahead would be the worse risk.
_LIFE = timedelta(days=20 * 365)
#: Clocks that are behind still accept it.
_EARLIER = timedelta(days=2)


def make_authority(site: str) -> str:
    """A new authority: its private key and its certificate, as PEM one after the other."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(site, f"{site} authority")
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return _pem(key) + _pem(certificate)


def make_certificate(authority: str, site: str, server: str, address: str) -> str:
    """A server's private key and certificate, for both ends of a connection, as PEM."""
    issuer_key, issuer = _private(authority), _certificate(authority)
    key = ec.generate_private_key(ec.SECP256R1())
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    names = [x509.DNSName(server), x509.IPAddress(ip_address(address))]
    certificate = (
        _builder(_name(site, server), issuer.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .sign(issuer_key, hashes.SHA256())
    )
    return _pem(key) + _pem(certificate)


def subject(site: str, server: str) -> str:
    """A server's name as MariaDB reads it in its certificate (``REQUIRE SUBJECT``)."""
    return f"/O={site}/CN={server}"


def key_of(pem: str) -> str:
    """The private key of what these functions made."""
    return _pem(_private(pem))


def certificate_of(pem: str) -> str:
    """The certificate of what these functions made."""
    return _pem(_certificate(pem))


def is_for(pem: str, authority: str, server: str, address: str) -> bool:
    """Whether a server's certificate is of this authority, and for this name and address."""
    certificate = _certificate(pem)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    try:
        certificate.verify_directly_issued_by(_certificate(authority))
    except Exception:  # InvalidSignature, ValueError or TypeError: another authority's
        return False
    return server in names.get_values_for_type(x509.DNSName) and ip_address(
        address
    ) in names.get_values_for_type(x509.IPAddress)


def _name(site: str, name: str) -> x509.Name:
    return x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, site),
        x509.NameAttribute(NameOID.COMMON_NAME, name),
    ])  # fmt: skip


def _builder(
    whose: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(whose)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _pem(what: ec.EllipticCurvePrivateKey | x509.Certificate) -> str:
    if isinstance(what, x509.Certificate):
        return what.public_bytes(serialization.Encoding.PEM).decode()
    return what.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _private(pem: str) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101 - made by this module alone
    return key


def _certificate(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem[pem.index("-----BEGIN CERTIFICATE") :].encode())

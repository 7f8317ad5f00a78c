"""TLS 1.3 and nothing older, without session resumption or early data.

Contexts are built bare: a library's default one obeys ``SSLKEYLOGFILE`` from the environment, which the host sets.
"""

from __future__ import annotations

import os
import ssl

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec


def server_context(key: ec.EllipticCurvePrivateKey, certificate_pem: bytes) -> ssl.SSLContext:
    """A server's context with its key and certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    load_certificate(context, key, certificate_pem)
    return context


def load_certificate(context: ssl.SSLContext, key: ec.EllipticCurvePrivateKey, certificate_pem: bytes) -> None:
    """Give a server's context a certificate, also a renewed one, and its key, which never touches a disk.

    Python's ssl reads files only, so they lie in memory.
    """
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    descriptor = os.memfd_create("channel", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, certificate_pem + pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def client_context() -> ssl.SSLContext:
    """A client's context that checks no certificate: the appraisal of its evidence does, before a byte is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def new_key() -> ec.EllipticCurvePrivateKey:
    """A channel key (P-256), made in the process that will use it, after it was forked and bound; never sealed."""
    return ec.generate_private_key(ec.SECP256R1())

"""The sandbox's own certificate authority, for https."""

from __future__ import annotations

import ssl
from pathlib import Path
from tempfile import TemporaryDirectory

import trustme


class Authority:
    """A certificate authority and the certificate it signed for one host.

    Attributes:
        bundle: File with the authority's certificate, removed when the authority is closed.
        context: TLS context of a server with the signed certificate.
    """

    def __init__(self, host: str) -> None:
        authority = trustme.CA(organization_name="Sandbox")
        self._folder = TemporaryDirectory(prefix="sandbox-")
        self.bundle = Path(self._folder.name) / "ca.pem"
        authority.cert_pem.write_to_path(str(self.bundle))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(host).configure_cert(self.context)

    def close(self) -> None:
        """Remove the certificate file."""
        self._folder.cleanup()

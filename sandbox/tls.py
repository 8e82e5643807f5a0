"""A certificate authority of the sandbox's own, for https."""

from __future__ import annotations

import ssl
from pathlib import Path
from tempfile import TemporaryDirectory

import trustme


class Authority:
    """A certificate authority and what it signed for one host.

    Attributes:
        bundle: File with the authority's certificate, gone when the authority is closed.
    """

    def __init__(self, host: str) -> None:
        authority = trustme.CA(organization_name="Sandbox")
        self._folder = TemporaryDirectory(prefix="sandbox-")
        self.bundle = Path(self._folder.name) / "ca.pem"
        authority.cert_pem.write_to_path(str(self.bundle))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(host).configure_cert(self.context)

    def close(self) -> None:
        """Remove the file."""
        self._folder.cleanup()

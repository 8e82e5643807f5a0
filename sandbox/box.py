"""The sandbox: an Acumatica instance served on a real port."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self, Unpack

from typing_extensions import override

from sandbox.control import Control
from sandbox.instance import Instance
from sandbox.server import Server
from sandbox.tls import Authority

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from types import TracebackType

    from sandbox.quirks import Switches


class Sandbox(Instance):
    """An Acumatica look-alike on a real port.

    Args:
        tenants: Login names of the tenants; each has its own company.
        seed: Seed of the made-up data; the same seed gives the same data.
        rows: Approximate number of rows in the largest tables.
        now: Instant at which the clock stands still, or None for real time.
        scale: Whether the metadata has the size of a full instance.
        host: Host to listen on.
        port: Port to listen on, or 0 to take a free one.
        directory: Virtual directory, such as ``/ERP``.
        tls: Whether to serve https; the file ``bundle`` then holds the certificate of the
            authority that signed the server's.
        empty: Whether to leave the tables without rows.
        switches: Quirks, see :class:`sandbox.quirks.Quirks`.
    """

    def __init__(  # noqa: PLR0913 - independent switches
        self,
        *,
        tenants: Sequence[str] = ("Company",),
        seed: int = 7,
        rows: int | None = None,
        now: datetime | str | None = None,
        scale: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
        directory: str = "",
        tls: bool = False,
        empty: bool = False,
        **switches: Unpack[Switches],
    ) -> None:
        super().__init__(
            tenants=tenants,
            seed=seed,
            rows=rows,
            now=now,
            scale=scale,
            directory=directory,
            empty=empty,
            **switches,
        )
        self.app.control = Control(self)
        self._authority = Authority(host) if tls else None
        self.server = Server(
            host, port, self.app, self._authority.context if self._authority else None
        )
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://{host}:{self.server.server_port}{self.app.directory}"
        self.app.site = self.url
        self._thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start serving."""
        self._thread.start()

    @override
    def close(self) -> None:
        """Stop serving and remove the data."""
        self.server.close()
        super().close()
        if self._authority:
            self._authority.close()

    @property
    def bundle(self) -> str:
        """File with the certificate of the authority behind https; empty without https."""
        return str(self._authority.bundle) if self._authority else ""

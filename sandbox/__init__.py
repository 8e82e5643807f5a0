"""A look-alike of Acumatica ERP's OData interface for data access classes, over real HTTP."""

from __future__ import annotations

from sandbox.box import Sandbox
from sandbox.sessions import Counters, RequestRecord

__all__ = ["Counters", "RequestRecord", "Sandbox"]

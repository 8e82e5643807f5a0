"""A look-alike of Acumatica ERP's OData interfaces, over real HTTP."""

from __future__ import annotations

from sandbox.box import Sandbox
from sandbox.faults import Fault
from sandbox.quirks import Quirks
from sandbox.sessions import Counters, RequestRecord

__all__ = ["Counters", "Fault", "Quirks", "RequestRecord", "Sandbox"]

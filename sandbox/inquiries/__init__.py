"""Generic inquiries: their definitions, metadata and services."""

from sandbox.inquiries.model import Inquiry, Parameter
from sandbox.inquiries.service import Inquiries

__all__ = ["Inquiries", "Inquiry", "Parameter"]

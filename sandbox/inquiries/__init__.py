"""Generic inquiries: what they show, and how they are declared, asked for and answered."""

from sandbox.inquiries.model import Inquiry, Parameter
from sandbox.inquiries.service import Inquiries

__all__ = ["Inquiries", "Inquiry", "Parameter"]

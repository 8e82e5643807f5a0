"""OData as Acumatica speaks it. It knows nothing of Singer."""

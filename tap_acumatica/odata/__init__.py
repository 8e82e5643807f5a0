"""OData as Acumatica speaks it. Knows nothing of Singer."""

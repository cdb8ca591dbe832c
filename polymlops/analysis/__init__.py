"""What training did to the adapter, and theory beside measurement."""

"""The verbs of the API: root fields, and the transports that carry them."""

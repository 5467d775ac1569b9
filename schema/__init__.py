"""The nouns of the API: Strawberry types over the stores' records.

A type's plain fields are attributes of the record it presents, under the same names, so they need no code. Edges
between nouns are declared with `loaded`. Loaders decide who may see what; types do not.
"""

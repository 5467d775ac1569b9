"""Who may see what, through every field that shows objects and every input that takes an id.

Each viewer of a cast reads everything and tries every mutation. The answers are compared with rules that know nothing
of the product's code. Two tables must cover the schema, or a test fails:

- `expected_objects.py`: a new field that shows objects gets an entry `"Type.field": function of (rules, viewer, id)`,
  which returns the ids that the field must show. A new field that counts gets an entry in `COUNTS` there.
- `mutation_inputs.py`: a new input that takes an id gets an entry with its mutation and an example of its input.

If the field shows a new kind of object, `cast.py` makes one, `scene.py` records it, and `rules.py` says who sees it.

| file | what it has |
| --- | --- |
| `cast.py` | people in every relation to each other, with posts, comments, likes and tags of all of them |
| `scene.py` | the same as plain data: who follows and blocks whom, and what everybody made |
| `rules.py` | who may see what in the scene |
| `schema_fields.py` | which fields and inputs the schema has, and how to select all of them |
"""

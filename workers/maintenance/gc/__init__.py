"""`gc`: removes files without records, records without a use, and facts about what is gone."""

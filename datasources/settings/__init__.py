"""Groups of settings; `config.py` puts them together."""

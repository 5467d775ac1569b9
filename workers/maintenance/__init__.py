"""Maintenance: counting everything again, setting right what is wrong, and clearing away what nobody needs."""

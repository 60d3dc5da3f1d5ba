"""Building the tables. Not needed to use them; see the extra ``[build]``."""

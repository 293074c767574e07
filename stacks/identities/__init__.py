"""Who may act as a builder: one file for each kind of identity, as data. stacks/trust.py makes policies of them."""

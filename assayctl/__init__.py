"""The operator's command line: what runbooks ask for, as commands on a deployed stage."""

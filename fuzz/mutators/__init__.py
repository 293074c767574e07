"""Changes to an input that leave it meaning something: what blind changes to its bytes hardly ever do."""

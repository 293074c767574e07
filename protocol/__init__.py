"""What builder, service and infrastructure agree on: object keys, verdicts, result documents, settings. Data only."""

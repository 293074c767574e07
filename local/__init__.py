"""The whole service on one machine, with moto as AWS: what ``make demo`` starts and what the tests use."""

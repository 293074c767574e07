"""Thousands of submissions through the real service on one machine, and what each of them costs.

``python -m bench.load`` starts it. The functions run in processes of their own (:mod:`bench.load.runtime`), moto is S3
and SQS in another.
"""

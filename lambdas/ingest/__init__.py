"""From an unsigned submission in staging to a signed store object in the cache, or to the reason why not.

``handler`` is what Lambda calls and ``wiring`` puts everything together; ``use_case`` is the way of a submission over
``ports``, and ``adapters`` holds what stands behind those in AWS.
"""

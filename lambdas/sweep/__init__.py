"""Once a day: have those judged again that have waited long enough, so that they learn that nobody will wake them.

The sweeper decides nothing. It sends the wake message that a publication would have sent; ingest, which knows how old
the submission is, says what becomes of it (docs/adr/0049).
"""

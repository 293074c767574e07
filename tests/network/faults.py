"""What goes wrong between a builder and S3, one fault each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus

from tests.network.gateway import Answer, Exchange, Fault, Seen, none

_PORTAL = b"<!doctype html>\n<title>Welcome to the hotel</title>\n<p>Please sign in.\n"
_MAX_SKEW = timedelta(minutes=15)


def only(concerned: Callable[[Seen], bool], fault: Fault) -> Fault:
    """Let ``fault`` meet some requests, and none the others."""

    def sometimes(exchange: Exchange) -> None:
        (fault if concerned(exchange.seen) else none)(exchange)

    return sometimes


def is_nar(seen: Seen) -> bool:
    """Whether a NAR, or a part of one, is on its way up."""
    return seen.method == "PUT" and "/nar/" in seen.path


def is_narinfo(seen: Seen) -> bool:
    """Whether a narinfo is submitted."""
    return seen.method == "PUT" and seen.path.endswith(".narinfo")


def is_completion(seen: Seen) -> bool:
    """Whether a multipart upload is completed."""
    return seen.method == "POST" and "uploadId" in seen.query


def hang(exchange: Exchange) -> None:
    """Accept the connection, and never say a word."""
    exchange.hang()


def hang_in_answer(exchange: Exchange) -> None:
    """Take the request, and begin an answer that never ends."""
    exchange.answer(Answer(HTTPStatus.OK, (("Content-Length", "1000"), ("ETag", '"0"'))))
    exchange.hang()


def reset_in_request(after: int) -> Fault:
    """Cut the connection when ``after`` bytes of a request's body have come."""

    def reset(exchange: Exchange) -> None:
        exchange.body(limit=after)
        exchange.reset()

    return reset


def lose_answer(exchange: Exchange) -> None:
    """Let the server act, and cut the connection before a word of its answer arrives."""
    exchange.forward()
    exchange.reset()


def truncate(after: int) -> Fault:
    """End the connection in order, in the middle of the answer's body."""

    def cut(exchange: Exchange) -> None:
        exchange.answer(exchange.forward(), only=after)
        exchange.close()

    return cut


def s3_error(status: int, code: str, message: str, *headers: tuple[str, str]) -> Fault:
    """Answer as S3 does when it will not."""
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'

    def refuse(exchange: Exchange) -> None:
        exchange.answer(Answer(status, (("Content-Type", "application/xml"), *headers), body.encode()))

    return refuse


slow_down = s3_error(503, "SlowDown", "Please reduce your request rate.", ("Retry-After", "3600"))
internal_error = s3_error(500, "InternalError", "We encountered an internal error. Please try again.")
expired_token = s3_error(403, "ExpiredToken", "The provided token has expired.")
unknown_key = s3_error(403, "InvalidAccessKeyId", "The AWS Access Key Id does not exist in our records.")


def skewed(by: timedelta) -> Fault:
    """Be an S3 whose clock differs ``by`` so much: it takes signatures of a quarter of an hour around its own time."""
    too_skewed = s3_error(
        HTTPStatus.FORBIDDEN,
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
    )

    def check(exchange: Exchange) -> None:
        now = datetime.now(UTC) + by
        signed = exchange.headers.get("X-Amz-Date")
        if signed is None:
            none(exchange)
        elif abs(datetime.strptime(signed, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) - now) > _MAX_SKEW:
            too_skewed(exchange)
        else:
            answer = exchange.forward()
            headers = (*(pair for pair in answer.headers if pair[0].lower() != "date"), ("Date", format_datetime(now)))
            exchange.answer(Answer(answer.status, headers, answer.body))

    return check


def portal(exchange: Exchange) -> None:
    """Answer 200 with a page, whatever was asked."""
    exchange.answer(Answer(HTTPStatus.OK, (("Content-Type", "text/html"),), _PORTAL))


def empty_200(exchange: Exchange) -> None:
    """Answer 200 with nothing, as a proxy's health check does."""
    exchange.answer(Answer(HTTPStatus.OK))


def lie(exchange: Exchange) -> None:
    """Say that everything was stored, version and all, and store nothing."""
    headers = (("ETag", '"d41d8cd98f00b204e9800998ecf8427e"'), ("x-amz-version-id", "invented"))
    exchange.answer(Answer(HTTPStatus.OK, headers))


def error_in_200(exchange: Exchange) -> None:
    """Answer as S3 does when a completion fails after its 200 was sent (its own documentation warns of it)."""
    body = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>InternalError</Code><Message>Again.</Message></Error>'
    exchange.answer(Answer(HTTPStatus.OK, (("Content-Type", "application/xml"),), body))

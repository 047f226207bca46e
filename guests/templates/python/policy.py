"""An order becomes a row, with the address replaced by its SHA-256: equal
addresses stay equal, so that they can still be counted and joined."""

import json
import re
from hashlib import sha256

from wit_world import exports
from wit_world.exports.policy import (
    Column,
    Description,
    Field,
    Outcome_Reject,
    Outcome_Rows,
    Reason,
    Rejection,
    Value_Date,
    Value_Null,
    Value_Text,
    ValueType,
)

FIELDS = ["order", "email", "country"]
SENSITIVE = ["email"]

MS_PER_DAY = 24 * 60 * 60 * 1000
DAY_MAX = 2**31 - 1
# Some thousand levels are the end of the stack of `json.loads`: a fault, and no
# exception.
DEPTH_MAX = 128

# PostgreSQL stores no U+0000, and half a surrogate pair is no text.
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
# What opens and closes, and texts, in which brackets mean nothing.
MARK = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)


class Rejected(Exception):
    """The message is rejected, for a reason and, where one is at fault, a field."""

    def __init__(self, reason, field=None):
        index = None if field is None else FIELDS.index(field)
        self.rejection = Rejection(reason, index)


class Policy(exports.Policy):
    """What the component exports. It takes no parameters."""

    def describe(self):
        return Description(
            name="{{name}}",
            version="0.1.0",
            columns=[
                Column("order_id", ValueType.TEXT, nullable=False),
                Column("masked_email", ValueType.TEXT, nullable=False),
                Column("country", ValueType.TEXT, nullable=True),
                Column("placed_on", ValueType.DATE, nullable=False),
            ],
            fields=[Field("/" + name, name in SENSITIVE) for name in FIELDS],
            parameters=[],
        )

    def configure(self, arguments):
        return None

    def transform(self, messages):
        return [outcome(message) for message in messages]


def outcome(message):
    try:
        return Outcome_Rows([row(message)])
    except Rejected as rejected:
        return Outcome_Reject(rejected.rejection)


def row(message):
    """The row of an order, its values in the order of the columns."""
    if depth(message.body) > DEPTH_MAX:
        raise Rejected(Reason.MALFORMED)
    try:
        body = json.loads(message.body)
    except ValueError:
        raise Rejected(Reason.MALFORMED)
    if not isinstance(body, dict):
        raise Rejected(Reason.UNSUPPORTED)
    order = required(body, "order")
    email = required(body, "email")
    country = text(body, "country")
    days = message.sent_ms // MS_PER_DAY
    if days > DAY_MAX:
        raise Rejected(Reason.OUT_OF_RANGE)
    return [
        Value_Text(order),
        Value_Text(sha256(email.encode()).hexdigest()),
        Value_Null() if country is None else Value_Text(country),
        Value_Date(days),
    ]


def depth(body):
    """How deep objects and arrays lie within each other."""
    opened = deepest = 0
    for mark in MARK.findall(body):
        if mark in ("{", "["):
            opened += 1
            deepest = max(deepest, opened)
        elif mark in ("}", "]"):
            opened -= 1
    return deepest


def required(body, name):
    """A text that must be there."""
    value = text(body, name)
    if value is None:
        raise Rejected(Reason.WRONG_TYPE if name in body else Reason.MISSING, name)
    return value


def text(body, name):
    """A text, or nothing where it is null or absent."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise Rejected(Reason.WRONG_TYPE, name)
    if UNSTORABLE.search(value):
        raise Rejected(Reason.INVALID, name)
    return value

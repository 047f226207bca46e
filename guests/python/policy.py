"""The policy of `sha256_mask`, in Python: the same rows, and the same rejections.

It is built as a project of `etl-host new --lang python` whose `policy.py` it
replaces. Python's own JSON parser does not tell a member that is given twice
and is recursive, so the body is read token by token.
"""

import json
import math
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
    Value_Integer,
    Value_Null,
    Value_Text,
    ValueType,
)

# In the order in which they are judged: the first one at fault is named.
FIELDS = ["user_id", "app_version", "device_type", "ip", "device_id", "locale"]
SENSITIVE = ["ip", "device_id"]

COLUMNS = [
    Column("user_id", ValueType.TEXT, nullable=False),
    Column("device_type", ValueType.TEXT, nullable=False),
    Column("masked_ip", ValueType.TEXT, nullable=False),
    Column("masked_device_id", ValueType.TEXT, nullable=False),
    Column("locale", ValueType.TEXT, nullable=True),
    Column("app_version", ValueType.INTEGER, nullable=False),
    Column("create_date", ValueType.DATE, nullable=False),
]

MS_PER_DAY = 24 * 60 * 60 * 1000
INT_MAX = 2**31 - 1
# The digits of a part of a version: no more is ever in range.
PART_DIGITS_MAX = 6
MINOR_AND_PATCH_MAX = 999


class Rejected(Exception):
    """The message is rejected, for a reason and, where one is at fault, a field."""

    def __init__(self, reason, field=None):
        index = None if field is None else FIELDS.index(field)
        self.rejection = Rejection(reason, index)


class Policy(exports.Policy):
    """What the component exports. It takes no parameters."""

    def describe(self):
        return Description(
            name="sha256_mask",
            version="0.1.0",
            columns=COLUMNS,
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
    """The row of a login, its values in the order of the columns."""
    login = members(message.body)
    if not login:
        raise Rejected(Reason.UNSUPPORTED)
    user_id = storable(login, "user_id")
    app_version = version(required(login, "app_version"))
    device_type = storable(login, "device_type")
    ip = required(login, "ip")
    device_id = required(login, "device_id")
    locale = None
    if login.get("locale") is not None:
        locale = storable(login, "locale")
    create_date = message.sent_ms // MS_PER_DAY
    if create_date > INT_MAX:
        raise Rejected(Reason.OUT_OF_RANGE)
    return [
        Value_Text(user_id),
        Value_Text(device_type),
        Value_Text(sha256(ip.encode()).hexdigest()),
        Value_Text(sha256(device_id.encode()).hexdigest()),
        Value_Null() if locale is None else Value_Text(locale),
        Value_Integer(app_version),
        Value_Date(create_date),
    ]


def required(login, name):
    """The text of a member that must be there."""
    if name not in login:
        raise Rejected(Reason.MISSING, name)
    if not isinstance(login[name], str):
        raise Rejected(Reason.WRONG_TYPE, name)
    return login[name]


def storable(login, name):
    """A text that PostgreSQL can store, which has no U+0000."""
    text = required(login, name)
    if "\0" in text:
        raise Rejected(Reason.INVALID, name)
    return text


def version(text):
    """major × 1,000,000 + minor × 1,000 + patch; missing parts are 0."""
    parts = text.split(".")
    if len(parts) > 3 or not all(part.isascii() and part.isdigit() for part in parts):
        raise Rejected(Reason.INVALID, "app_version")
    parts = [part.lstrip("0") or "0" for part in parts] + ["0", "0"]
    if max(map(len, parts)) > PART_DIGITS_MAX:
        raise Rejected(Reason.OUT_OF_RANGE, "app_version")
    major, minor, patch = map(int, parts[:3])
    number = 1_000_000 * major + 1_000 * minor + patch
    if max(minor, patch) > MINOR_AND_PATCH_MAX or number > INT_MAX:
        raise Rejected(Reason.OUT_OF_RANGE, "app_version")
    return number


# A token of JSON, after white space. Nothing in it is tried twice, so that the
# longest text takes no memory to match.
TOKEN = re.compile(
    r"""[ \t\n\r]*+(?:
      (?P<mark>[{}\[\],:])
    | (?P<text>"(?:[^"\\\x00-\x1f]++|\\["\\/bfnrt]|\\u[0-9A-Fa-f]{4})*+")
    | (?P<number>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+)
    | (?P<word>true|false|null)
    | (?P<end>\Z)
    )""",
    re.VERBOSE,
)

# What a member holds that is neither a text nor null.
OTHER = object()

# What the place in a JSON text asks for.
VALUE, VALUE_OR_END, NAME, NAME_OR_END, COLON, COMMA_OR_END, END = range(7)


def members(body):
    """The members of a login that the body's object has, each once."""
    found = {}
    # What is open: the bracket that closes each.
    closing = []
    # The member that is being read.
    member = None
    asked, place = VALUE, 0
    while True:
        token = TOKEN.match(body, place)
        if token is None:
            raise Rejected(Reason.MALFORMED)
        place, kind, word = token.end(), token.lastgroup, token[token.lastgroup]
        in_value = asked in (VALUE, VALUE_OR_END)
        if kind == "end" and asked == END:
            return found
        elif kind == "text" and asked in (NAME, NAME_OR_END):
            # Whatever it belongs to, a name outside them is only skipped.
            if len(closing) == 1:
                name = text_of(word)
                member = name if name in FIELDS else None
                if member in found:
                    raise Rejected(Reason.MALFORMED)
            elif len(closing) == 2 and member:
                text_of(word)
            asked = COLON
            continue
        elif word == ":" and asked == COLON:
            asked = VALUE
            continue
        elif word == "," and asked == COMMA_OR_END:
            asked = NAME if closing[-1] == "}" else VALUE
            continue
        elif word in ("{", "[") and in_value and kind == "mark":
            if member and len(closing) == 1:
                found[member] = OTHER
            closing.append("}" if word == "{" else "]")
            asked = NAME_OR_END if word == "{" else VALUE_OR_END
            continue
        elif asked in (COMMA_OR_END, NAME_OR_END, VALUE_OR_END) and word == closing[-1]:
            closing.pop()
        elif in_value and kind in ("text", "number", "word"):
            # What is read and not skipped: the body itself, and a member.
            if not closing or (member and len(closing) == 1):
                value = value_of(kind, word)
                if closing:
                    found[member] = value
        else:
            raise Rejected(Reason.MALFORMED)
        asked = COMMA_OR_END if closing else END


def value_of(kind, word):
    """A scalar, as far as it matters."""
    if kind == "text":
        return text_of(word)
    if kind == "number" and math.isinf(float(word)):
        raise Rejected(Reason.MALFORMED)
    return None if word == "null" else OTHER


def text_of(word):
    """A text without its escapes, of which half a surrogate pair is none."""
    if "\\" not in word:
        return word[1:-1]
    text = json.loads(word)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Rejected(Reason.MALFORMED)
    return text

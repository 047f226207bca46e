"""What both consumers make of a message, and how they store it."""

import datetime
import hashlib
import json

# One statement: the messages that nobody has stored yet, and their rows.
STORE = """
WITH incoming AS (
    SELECT * FROM unnest(
        %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::int[], %s::date[]
    ) AS row (message_id, user_id, device_type, masked_ip, masked_device_id, locale, app_version, create_date)
), fresh AS (
    INSERT INTO processed_messages (message_id)
    SELECT message_id FROM incoming ORDER BY message_id
    ON CONFLICT DO NOTHING
    RETURNING message_id
)
INSERT INTO user_logins
    (user_id, device_type, masked_ip, masked_device_id, locale, app_version, create_date)
SELECT user_id, device_type, masked_ip, masked_device_id, locale, app_version, create_date
  FROM incoming JOIN fresh USING (message_id)
"""


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def version(text):
    parts = [int(part) for part in text.split(".")]
    major, minor, patch = parts + [0] * (3 - len(parts))
    return major * 1_000_000 + minor * 1_000 + patch


def row(message):
    login = json.loads(message["Body"])
    sent = int(message["Attributes"]["SentTimestamp"]) / 1000
    return (
        message["MessageId"],
        login["user_id"],
        login["device_type"],
        sha256(login["ip"]),
        sha256(login["device_id"]),
        login.get("locale"),
        version(login["app_version"]),
        datetime.datetime.fromtimestamp(sent, datetime.UTC).date(),
    )


def columns(messages):
    return [list(column) for column in zip(*map(row, messages))]


def entries(messages):
    return [
        {"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]}
        for n, message in enumerate(messages)
    ]

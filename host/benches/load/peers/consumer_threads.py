"""Loads logins from SQS into PostgreSQL: threads, boto3, psycopg.

Each thread receives ten messages, stores them in one statement and deletes
them once they are committed.
"""

import os
import signal
import threading

import boto3
import psycopg
from botocore.config import Config

from masking import STORE, columns, entries

THREADS = 8

QUEUE_URL = os.environ["QUEUE_URL"]

stopping = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stopping.set())
sqs = boto3.client("sqs", config=Config(max_pool_connections=THREADS))


def consume():
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        while not stopping.is_set():
            answer = sqs.receive_message(
                QueueUrl=QUEUE_URL,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=1,
                AttributeNames=["SentTimestamp"],
            )
            messages = answer.get("Messages", [])
            if messages:
                connection.execute(STORE, columns(messages), prepare=True)
                sqs.delete_message_batch(QueueUrl=QUEUE_URL, Entries=entries(messages))


threads = [threading.Thread(target=consume) for _ in range(THREADS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()

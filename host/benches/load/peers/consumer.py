"""Loads logins from SQS into PostgreSQL: asyncio, aiobotocore, psycopg.

Receivers fill a queue, writers empty it in batches; a batch is deleted once it
is committed. `--uvloop` runs it on uvloop.
"""

import asyncio
import os
import signal
import sys

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from psycopg_pool import AsyncConnectionPool

from masking import STORE, columns, entries

RECEIVERS = 16
WRITERS = 2
BATCH_MAX = 500
WAITING_MAX = 2_000
DELETE_MAX = 10

QUEUE_URL = os.environ["QUEUE_URL"]


async def receive(sqs, waiting, stopping):
    while not stopping.is_set():
        answer = await sqs.receive_message(
            QueueUrl=QUEUE_URL,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=1,
            AttributeNames=["SentTimestamp"],
        )
        for message in answer.get("Messages", []):
            await waiting.put(message)


async def write(sqs, pool, waiting):
    while True:
        batch = [await waiting.get()]
        while len(batch) < BATCH_MAX and not waiting.empty():
            batch.append(waiting.get_nowait())
        async with pool.connection() as connection:
            await connection.execute(STORE, columns(batch), prepare=True)
        tens = [batch[n : n + DELETE_MAX] for n in range(0, len(batch), DELETE_MAX)]
        await asyncio.gather(
            *(
                sqs.delete_message_batch(QueueUrl=QUEUE_URL, Entries=entries(ten))
                for ten in tens
            )
        )
        for _ in batch:
            waiting.task_done()


async def main():
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    waiting = asyncio.Queue(WAITING_MAX)
    config = AioConfig(max_pool_connections=64)
    async with (
        get_session().create_client("sqs", config=config) as sqs,
        AsyncConnectionPool(
            os.environ["DATABASE_URL"],
            min_size=WRITERS,
            max_size=WRITERS,
            kwargs={"autocommit": True},
        ) as pool,
    ):
        writers = [asyncio.create_task(write(sqs, pool, waiting)) for _ in range(WRITERS)]
        await asyncio.gather(*(receive(sqs, waiting, stopping) for _ in range(RECEIVERS)))
        await waiting.join()
        for writer in writers:
            writer.cancel()


if "--uvloop" in sys.argv:
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())

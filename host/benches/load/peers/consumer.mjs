// Loads logins from SQS into PostgreSQL: sqs-consumer and pg.
//
// Several consumers, each of which receives ten messages and stores them in one
// statement; sqs-consumer deletes them once the promise is fulfilled.

import { createHash } from "node:crypto";
import { SQSClient } from "@aws-sdk/client-sqs";
import pg from "pg";
import { Consumer } from "sqs-consumer";

const CONSUMERS = 16;
const CONNECTIONS = 4;

// One statement: the messages that nobody has stored yet, and their rows.
const STORE = {
  name: "store",
  text: `
    WITH incoming AS (
      SELECT * FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::date[]
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
      FROM incoming JOIN fresh USING (message_id)`,
};

const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL.replace("?sslmode=disable", ""),
  max: CONNECTIONS,
});
const sqs = new SQSClient({});

const sha256 = (text) => createHash("sha256").update(text).digest("hex");

function version(text) {
  const [major, minor = 0, patch = 0] = text.split(".").map(Number);
  return major * 1_000_000 + minor * 1_000 + patch;
}

function row(message) {
  const login = JSON.parse(message.Body);
  return [
    message.MessageId,
    login.user_id,
    login.device_type,
    sha256(login.ip),
    sha256(login.device_id),
    login.locale ?? null,
    version(login.app_version),
    new Date(Number(message.Attributes.SentTimestamp)).toISOString().slice(0, 10),
  ];
}

async function store(messages) {
  const rows = messages.map(row);
  const values = rows[0].map((_, column) => rows.map((row) => row[column]));
  await pool.query({ ...STORE, values });
  return messages;
}

const consumers = Array.from({ length: CONSUMERS }, () =>
  Consumer.create({
    queueUrl: process.env.QUEUE_URL,
    sqs,
    batchSize: 10,
    waitTimeSeconds: 1,
    attributeNames: ["SentTimestamp"],
    handleMessageBatch: store,
  }),
);

let running = consumers.length;
for (const consumer of consumers) {
  for (const event of ["error", "processing_error"]) {
    consumer.on(event, (error) => {
      console.error(error);
      process.exit(1);
    });
  }
  consumer.on("stopped", async () => {
    running -= 1;
    if (running === 0) await pool.end();
  });
  consumer.start();
}
process.on("SIGTERM", () => consumers.forEach((consumer) => consumer.stop()));

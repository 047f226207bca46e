//! The policy of rules: parameters decide what becomes of each field, and the
//! columns, the table and what is guarded follow from them.

use std::path::PathBuf;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::database::Database;
use crate::support::folder::Folder;
use crate::support::guest;
use crate::support::host::Host;
use crate::support::login::{Login, bodies, sha256_hex};
use crate::support::queue::Queue;

const RULES: [&str; 8] = [
    "keep=order_id, amount:float, /customer/country as country, note",
    "required=order_id",
    "hash=/customer/email as email_hash",
    "network=ip",
    "last=card:4 as card_end",
    "month=/customer/born as born_month",
    "sent_date=created",
    "others=refuse",
];

fn with(host: Host, rules: &[&str]) -> Host {
    let words = rules.iter().flat_map(|rule| ["--param", rule]);
    words.fold(host, Host::word)
}

fn order(n: usize) -> Value {
    json!({
        "order_id": format!("o{n}"),
        "amount": 12.5,
        "customer": {
            "country": "DE", "email": format!("c{n}@shop.example"), "born": "1980-02-29",
        },
        "ip": format!("203.0.113.{}", 10 + n),
        "card": format!("0000-1111-{}", 4711 + n),
        "note": null,
    })
}

fn host(queue: &Queue, database: &Database) -> Host {
    Host::new(queue, database)
        .option("--transform", guest("rule_mask.wasm"))
        .option("--table", "orders")
}

#[test]
fn rules_alone_make_a_table_and_fill_it() {
    let (queue, database) = (Queue::with_dead_letters(), Database::empty());
    let mut unknown = order(3);
    unknown["coupon"] = json!("SPRING");
    queue.send(&[order(1), order(2), unknown].map(|order| order.to_string()));

    let creating = host(&queue, &database).word("--create-table");
    let run = with(creating, &RULES).until_empty().run().exited(0);

    let email = sha256_hex(b"c1@shop.example");
    let first = format!(
        "orders WHERE order_id = 'o1' AND amount = 12.5 AND country = 'DE' AND note IS NULL
         AND email_hash = '{email}' AND ip = '203.0.113.0/24' AND card_end = '4712'
         AND born_month = '1980-02' AND created = (now() AT TIME ZONE 'UTC')::date"
    );
    assert_eq!(database.count(&first), 1);
    assert_eq!(database.count("orders"), 2);
    let refused = "etl_host.ledger WHERE outcome = 'rejected' AND reason = 'unexpected'";
    assert_eq!(database.count(refused), 1);
    let everything = database.text_of_every_table() + &run.stdout + &run.stderr;
    for raw in ["@shop.example", "0000-1111", "203.0.113.11", "1980-02-29"] {
        assert!(!everything.contains(raw), "{raw}");
    }
}

#[test]
fn what_a_rule_hides_is_guarded_in_every_other_column() {
    let (queue, database) = (Queue::with_dead_letters(), Database::empty());
    let mut telling = order(1);
    telling["note"] = json!("write to c1@shop.example");
    queue.send(&[telling.to_string(), order(2).to_string()]);

    let creating = host(&queue, &database).word("--create-table");
    with(creating, &RULES).until_empty().run().exited(0);

    let leak = "etl_host.ledger WHERE reason = 'leak' AND field = '/customer/email'";
    assert_eq!(database.count(leak), 1);
    assert_eq!(database.count("orders"), 1);
}

#[test]
fn the_statements_and_the_check_follow_from_the_rules() {
    let ddl = Host::bare()
        .word("ddl")
        .option("--transform", guest("rule_mask.wasm"))
        .option("--table", "orders");
    let run = with(ddl, &RULES).run().exited(0);
    for words in [
        "order_id",
        "card_end",
        "born_month",
        "created",
        "CREATE TABLE",
    ] {
        assert!(run.stdout.contains(words), "no {words} in {}", run.stdout);
    }
    let database = Database::empty();
    database.execute(&run.stdout);
    assert_eq!(database.count("orders"), 0);

    let queue = Queue::with_dead_letters();
    let check = with(host(&queue, &database).word("check"), &RULES);
    let run = check.run().exited(0);
    assert!(run.stdout.contains("public.orders fits"), "{}", run.stdout);
    assert!(
        run.stdout.contains("sensitive: /customer/email"),
        "{}",
        run.stdout
    );
    // Other rules make other columns.
    let rules = ["keep=order_id", "year=/customer/born as born_year"];
    let check = with(host(&queue, &database).word("check"), &rules);
    let run = check.run().exited(78);
    assert!(run.stdout.contains("born_year"), "{}", run.stdout);
}

#[test]
fn rules_that_make_no_sense_are_refused_with_what_is_expected() {
    let refused = |rules: &[&str]| {
        let ddl = Host::bare()
            .word("ddl")
            .option("--transform", guest("rule_mask.wasm"));
        with(ddl, rules).run().exited(78)
    };
    refused(&[]).says(&["--param keep", "nothing to store"]);
    refused(&["keep=a b"]).says(&["--param keep", "separated by commas"]);
    refused(&["keep=a", "last=b"]).says(&["--param last", "card:4"]);
    refused(&["keep=a", "hash=b as a"]).says(&["--param hash", "FIELD as COLUMN"]);
    refused(&["keep=a", "keyed_hash=b"]).says(&["keyed_hash is unknown", "network"]);
}

#[test]
fn only_the_keyed_component_hashes_under_the_key() {
    let key = [0xa7; 32];
    let keys = format!("2026-11:{}", "a7".repeat(32));
    let (queue, database) = (Queue::with_dead_letters(), Database::empty());
    queue.send(&[order(1).to_string()]);
    let host = || {
        let host = host(&queue, &database)
            .option("--transform", guest("keyed_rule_mask.wasm"))
            .word("--create-table");
        with(host, &["keep=order_id", "keyed_hash=ip", "hash=card"]).until_empty()
    };
    host().run().exited(78).says(&["keyed-hash", "--key-file"]);
    host().env("ETL_HOST_KEY", &keys).run().exited(0);

    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key");
    mac.update(b"203.0.113.11");
    let hash = mac.finalize().into_bytes();
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(database.count(&format!("orders WHERE ip = '{hash}'")), 1);
    let card = sha256_hex(b"0000-1111-4712");
    assert_eq!(database.count(&format!("orders WHERE card = '{card}'")), 1);
}

#[test]
fn rules_keep_every_property_on_invented_logins() {
    let folder = Folder::new("rules");
    let lines = bodies(&Login::several("rules", 30)).join("\n");
    let logins = folder.keep("logins.jsonl", &lines, 0o600);
    let component: PathBuf = guest("rule_mask.wasm");
    let tested = |mask: &str| {
        let host = Host::bare().word("test").word(&component).word(&logins);
        let rules = ["keep=user_id, device_type, locale", "hash=device_id", mask];
        with(host, &rules)
            .option("--fuzz", "300")
            .option("--seed", "1")
    };
    tested("drop=ip").run().exited(0);
    // Networks instead of addresses: that is its purpose, and has to be said.
    tested("network=ip").run().exited(65);
    let run = tested("network=ip").option("--may-collide", "/ip").run();
    run.exited(0);
}

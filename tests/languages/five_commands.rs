//! From nothing to a changed mask in the pipeline: the first command is
//! `etl-host new`, and those after it are what that one says comes next, as the
//! project's README has them too. Between them a user makes one change: to the
//! policy, and to its cases. Then the table has to hold the changed masks.

use std::fs;
use std::path::Path;

use crate::project::{Language, Project};
use crate::services::Services;
use crate::support::login::sha256_hex;
use crate::support::page::{Reader, change};

/// What somebody types at the most.
const COMMANDS_MAX: usize = 5;
const PROJECT: &str = "short_mask";
/// The letters of a mask after the change; before it there are 64.
const LETTERS: usize = 16;
/// Orders in the queue.
const ORDERS: usize = 60;

/// The change, where the mask is made.
fn changed_policy(language: &Language) -> &'static str {
    match language.name {
        "rust" => {
            "+++ src/lib.rs
-        Value::Text(hex(&Sha256::digest(email))),
+        Value::Text(hex(&Sha256::digest(email)[..8])),
"
        }
        "python" => {
            "+++ policy.py
-        Value_Text(sha256(email.encode()).hexdigest()),
+        Value_Text(sha256(email.encode()).hexdigest()[:16]),
"
        }
        "javascript" => {
            "+++ policy.js
-        { tag: \"text\", val: sha256(email) },
+        { tag: \"text\", val: sha256(email).slice(0, 16) },
"
        }
        "c" => {
            "+++ policy.c
-        text_value(masked, SHA256_HEX), country, placed_on};
+        text_value(masked, 16), country, placed_on};
"
        }
        "go" => {
            "+++ policy.go
-\t\tMakeValueText(hex.EncodeToString(masked[:])),
+\t\tMakeValueText(hex.EncodeToString(masked[:8])),
"
        }
        other => panic!("nobody knows how to change a policy in {other}"),
    }
}

/// What the cases expect after it.
const CHANGED_CASES: [&str; 2] = [
    "+++ cases/orders.toml
-masked_email = \"b5fc85e55755f9e0d030a10ab4429b6b2944855f9a0d60077fe832becbc41d72\"
+masked_email = \"b5fc85e55755f9e0\"
",
    "+++ cases/orders.toml
-masked_email = \"b533d4547eaa5a0fa955965a1ca393ccd2ea013032a105726f232eb41bddc4fa\"
+masked_email = \"b533d4547eaa5a0f\"
",
];

/// Types the commands in a new project of the language. Panics unless the
/// changed masks come to stand in the table.
pub fn lead_to_a_changed_mask(language: &'static Language) {
    let orders: Vec<Order> = (0..ORDERS).map(Order::invented).collect();
    let mut bodies: Vec<String> = orders.iter().map(Order::body).collect();
    bodies.push(r#"{"order":"o-without-an-address"}"#.to_owned());
    let services = Services::with(&bodies);
    let day = services.day();
    let mut reader = services.told(Project::reader(language));

    let begin = format!("etl-host new {PROJECT} --lang {}", language.name);
    let said = reader.runs(&begin);
    let mut next = said.lines().filter_map(|line| line.strip_prefix("  "));
    let enter = next.next().expect("a folder to go to");
    reader.runs(enter);
    let rest: Vec<&str> = next.collect();
    assert_eq!(rest, of_the_readme(&reader), "the README's commands");
    let typed = [&*begin, enter].len() + rest.len();
    assert!(typed <= COMMANDS_MAX, "{typed} commands: {said}");

    change(reader.folder(), changed_policy(language));
    for cases in CHANGED_CASES {
        change(reader.folder(), cases);
    }
    for command in rest {
        reader.runs(command);
    }

    let component = reader.folder().join(format!("{PROJECT}.wasm"));
    assert_eq!(stored(&services), expected(&orders, day));
    assert_eq!(services.left(), (0, 1), "in the queue, and dead letters");
    assert_eq!(judged_by(&services, &component), ORDERS as i64 + 1);
}

/// The commands of the project's page: its first block.
fn of_the_readme(reader: &Reader) -> Vec<String> {
    let page = fs::read_to_string(reader.folder().join("README.md")).expect("the README");
    let lines = page.lines().map(|line| line.strip_prefix("    "));
    let block = lines.skip_while(Option::is_none).map_while(|line| line);
    block.map(str::to_owned).collect()
}

/// How many messages the ledger says that this component has judged.
fn judged_by(services: &Services, component: &Path) -> i64 {
    let digest = sha256_hex(&fs::read(component).expect("the component"));
    let judged = format!("etl_host.ledger WHERE encode(policy, 'hex') = '{digest}'");
    services.database.count(&judged)
}

/// What stands in the table, ordered: number, mask, country, day.
type Row = (String, String, Option<String>, i32);

fn stored(services: &Services) -> Vec<Row> {
    let rows = services.database.query(
        "SELECT order_id, masked_email, country, placed_on - date '1970-01-01'
         FROM orders ORDER BY order_id COLLATE \"C\"",
    );
    let row = |row: &tokio_postgres::Row| (row.get(0), row.get(1), row.get(2), row.get(3));
    rows.iter().map(row).collect()
}

/// The same by the rules alone.
fn expected(orders: &[Order], day: i32) -> Vec<Row> {
    let row = |order: &Order| {
        let mask = sha256_hex(order.email.as_bytes())[..LETTERS].to_owned();
        let country = order.country.map(str::to_owned);
        (order.number.clone(), mask, country, day)
    };
    orders.iter().map(row).collect()
}

/// An invented order.
struct Order {
    number: String,
    email: String,
    country: Option<&'static str>,
}

impl Order {
    fn invented(n: usize) -> Self {
        Self {
            number: format!("o-{n:04}"),
            // Everybody orders again.
            email: format!("buyer-{}@example.com", n % 20),
            country: [Some("DE"), Some("PT"), None][n % 3],
        }
    }

    fn body(&self) -> String {
        let Self {
            number,
            email,
            country,
        } = self;
        serde_json::json!({"order": number, "email": email, "country": country}).to_string()
    }
}

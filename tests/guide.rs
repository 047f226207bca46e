//! `guests/GUIDE.md`, walked through word for word in Rust. `cargo languages`
//! does the same in JavaScript, which needs a toolchain of its own.

use std::fs;

use crate::support::database::Database;
use crate::support::folder::Folder;
use crate::support::page::Reader;
use crate::support::queue::Queue;
use crate::support::repository;

#[test]
fn the_guide_leads_from_nothing_to_rows_in_a_table() {
    let folder = Folder::new("guide");
    let (queue, database) = (Queue::with_dead_letters(), Database::empty());
    let order = r#"{"order":"o-1","email":"ada@example.com","phone":"+49 30 555 01234"}"#;
    queue.send(&[order.to_owned(), "no JSON".to_owned()]);
    let page = fs::read_to_string(repository().join("guests/GUIDE.md")).expect("read the guide");

    Reader::at(folder.path())
        .with_services(&queue.endpoint, &queue.url, &database.url())
        .follow(&page, "rust", "order_mask");

    assert_eq!(database.count("orders WHERE phone_end = '1234'"), 1);
    let malformed = "etl_host.ledger WHERE reason = 'malformed'";
    assert_eq!(database.count(malformed), 1);
    queue.assert_empty();
}

#[test]
#[should_panic(expected = "no \"it goes well\"")]
fn a_page_that_promises_too_much_is_found() {
    let folder = Folder::new("guide-promise");
    let page = "```sh\necho it goes\n```\n```text\nit goes well\n```\n";
    Reader::at(folder.path()).follow(page, "rust", "none");
}

//! `guests/GUIDE.md`, walked through word for word in a language that
//! `cargo verify` has no toolchain of.

use std::fs;

use crate::project::{Language, Project, repository};
use crate::services::Services;

/// What the guide calls its project.
const PROJECT: &str = "order_mask";

/// Follows it, and looks for the rows that it leads to.
pub fn leads_to_rows(language: &'static Language) {
    let order = r#"{"order":"o-1","email":"ada@example.com","phone":"+49 30 555 01234"}"#;
    let services = Services::with(&[order.to_owned(), "no JSON".to_owned()]);
    let page = fs::read_to_string(repository().join("guests/GUIDE.md")).expect("read the guide");

    let reader = services.told(Project::reader(language));
    reader.follow(&page, language.name, PROJECT);

    let stored = "orders WHERE phone_end = '1234'";
    assert_eq!(services.database.count(stored), 1);
    assert_eq!(services.left(), (0, 1), "in the queue, and dead letters");
}

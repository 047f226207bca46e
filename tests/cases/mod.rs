//! What may go wrong with identities, payloads, PostgreSQL and order, and what
//! must then happen: the real binary between a queue that judges every delete
//! and a network that breaks on request.
//!
//! | case | where it is shown |
//! |---|---|
//! | 49–51, 53, 54 | `identity` |
//! | 55 | `table::a_ledger_without_its_key_is_refused` |
//! | 57–62 | `payload` |
//! | 64–69 | `component`; 67 and 61 of a component that does not mask: `leak` |
//! | 71–76, 78, 80 | `table_data`; too long: `rejected::a_value_too_long_…` |
//! | 81, 82, 84–86, 88–90, 92, 94, 96, 97, 100 | `database`, `restarts` |
//! | 95, 99 | `tls` |
//! | 98 | `pooler` |
//! | 108, 109 | `order` |
//! | 128 | `dead_letters`; `replay::with_any_number_…`; each number and size in `queue/send.rs` |
//! | 129 | `origin`; each form of a forgery in `origin.rs` of the host |
//! | 111 | every case here, by `Scene::assert_well` |
//! | 112 | `privacy::the_most_talkative_log_…` |
//! | 113, 115 | `secrets` |
//! | 64–69, of a component that is allowed a WASI | `wasi` |
//! | 120–127, 134 | `attribution`, with a table of both sides of each SQLSTATE; 123 at the start: `table` |
//! | 114 | `component`: a panic of a component; the host's own hold no value by their types |

mod attribution;
mod component;
mod database;
mod dead_letters;
mod identity;
mod leak;
mod order;
mod origin;
mod payload;
mod pgbouncer;
mod pooler;
mod quarantine;
mod replace;
mod restarts;
mod scene;
mod secrets;
mod shadow;
mod table_data;
mod wasi;

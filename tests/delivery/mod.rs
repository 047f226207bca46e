//! At least once, and one row: what a kill, a bad network and a misbehaving
//! queue leave behind. The queue is the strict fake one, the network to the
//! database can be broken, the host and the database server are real.
//!
//! The numbers are those of the list of delivery cases:
//!
//! | case | where it is shown |
//! |---|---|
//! | 1–9, 12, 13 | `crash` |
//! | 14–29 | `receive`; 22 in `crash`, with 12 |
//! | 31, 32, 33, 35, 37, 38, 40 | `lease` |
//! | 41–47 | `delete` |
//! | 10 second signal | `shutdown::a_second_signal_ends_it_at_once` |
//! | 8, 9 by when a drain ends, received how often | `a_drain_…` in `pipeline/simulation.rs`, too |
//! | 11 a worker, or another part, panics | not to be provoked from outside: `a_worker_that_panics_…` and `whatever_part_panics_…` in `pipeline/simulation.rs` |
//! | 13 somebody else has its messages by then | `a_host_that_stood_still_…` in `pipeline/simulation.rs`, too |
//! | I6 extensions that are refused | `lease::a_queue_that_refuses_extensions_is_asked_seldom` |
//! | 27 no such queue, at start-up | `services::a_queue_that_does_not_exist_is_a_configuration_fault` |
//! | 130 an outage of the queue, 134 two causes at once | `outage`; any order of any two in `telemetry/causes.rs` |
//! | 130 an endpoint that takes 20 calls a second | `an_endpoint_that_takes_…` in `pipeline/receive_concurrency.rs` |
//! | 131 stop while idle, held, or cut off | `stop` |
//! | whose answers are not plain: the SDK makes the call | `direct` |
//! | 132 answers without end, of the queue and the database | `network::answers` |
//! | 26 clock skew, 29 name, connect and TLS, at start-up | `endpoint`, and TLS with the host running |

mod crash;
mod delete;
mod direct;
mod endpoint;
mod lease;
mod outage;
mod receive;
pub mod scene;
mod stop;
pub mod tls_door;

//! At least once, and one row: what a kill, a bad network and a misbehaving
//! queue leave behind. The queue is the strict fake one, the network to the
//! database can be broken, the host and the database server are real.
//!
//! The numbers are those of the list of delivery cases. Covered elsewhere:
//!
//! | case | where |
//! |---|---|
//! | 10 second signal | `shutdown::a_second_signal_ends_it_at_once` |
//! | 11 a worker panics | not to be provoked from outside: `a_worker_that_panics_…` in `pipeline/simulation.rs` |
//! | 27 no such queue, at start-up | `services::a_queue_that_does_not_exist_is_a_configuration_fault` |
//! | 29 connection refused, at start-up | `services::a_queue_service_that_comes_up_late_is_waited_for` |

mod crash;
mod delete;
mod lease;
mod receive;
mod scene;

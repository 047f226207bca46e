//! The end-to-end tests: the real binary, against a real PostgreSQL server and
//! an SQS server over HTTP. Every test has its own queue and its own database.
//!
//! One file a subject; each test is named for what it claims.

mod bench;
mod cache;
mod case_files;
mod cases;
mod check;
mod compare;
mod compiling;
mod components;
mod delivery;
mod demo;
mod fake_network;
mod fake_queue;
mod guide;
mod held;
mod hostile;
mod inspect;
mod keyed;
mod main_job;
mod manual;
mod network;
mod new;
mod operator;
mod patience;
mod privacy;
mod redelivery;
mod rejected;
mod replay;
mod rules;
mod run_once;
mod services;
mod shutdown;
mod structure;
mod support;
mod table;
mod tls;
mod workbench;

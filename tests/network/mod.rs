//! The network at its worst: proxies between the host and AWS, answers without
//! end, and words that a terminal would obey. Case 132, and what users have
//! configured wrongly.

mod answers;
mod proxies;
mod remedies;
mod server;

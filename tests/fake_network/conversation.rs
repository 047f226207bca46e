//! One connection's conversation as far as it must be understood to cut it at
//! the right word: which statement writes, and which answer belongs to it.
//!
//! A write is a statement that inserts into the ledger, however it is sent:
//! unnamed, prepared, or as a simple query. An answer is complete with the
//! server's ReadyForQuery, which an autocommit statement gets after its commit.
//! An encrypted conversation is passed on as it is.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::cuts::{Cut, Cuts, Plan};
use super::frames::{Frame, Frames, Opening};

/// What makes a statement a write, in lower case.
const WRITE: &str = "insert into etl_host.ledger";

/// What is to be done with the bytes that were looked at.
#[derive(Debug, PartialEq, Eq)]
pub enum Flow {
    PassOn,
    Cut,
}

enum Phase {
    /// Before the session.
    Opening,
    /// One byte from the server says whether the rest is encrypted.
    Encryption,
    Session,
    /// Not to be understood.
    Opaque,
}

/// What the server answers as a whole: it ends with ReadyForQuery.
#[derive(Default)]
struct Exchange {
    plan: Option<Plan>,
    /// The answer so far, where it may have to be cut.
    held: Vec<u8>,
    refused: bool,
}

pub struct Conversation {
    cuts: Arc<Cuts>,
    phase: Phase,
    from_client: Frames,
    from_server: Frames,
    /// By name: whether they write.
    statements: HashMap<Vec<u8>, bool>,
    portals: HashMap<Vec<u8>, bool>,
    /// What the client has sent since its last Sync.
    current: Exchange,
    /// What the server has still to answer, in order.
    unanswered: VecDeque<Exchange>,
}

impl Conversation {
    pub fn new(cuts: Arc<Cuts>) -> Conversation {
        Conversation {
            cuts,
            phase: Phase::Opening,
            from_client: Frames::default(),
            from_server: Frames::default(),
            statements: HashMap::new(),
            portals: HashMap::new(),
            current: Exchange::default(),
            unanswered: VecDeque::new(),
        }
    }

    /// The client has sent bytes; puts into `out` what the server is to get.
    pub fn client_says(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Flow {
        self.from_client.add(bytes);
        loop {
            match self.phase {
                Phase::Opening => match self.from_client.opening() {
                    None => return Flow::PassOn,
                    Some((opening, frame)) => {
                        out.extend(frame);
                        self.open(opening);
                    }
                },
                // A client waits for the byte before it says more.
                Phase::Encryption => return Flow::PassOn,
                Phase::Opaque => {
                    out.extend(self.from_client.rest());
                    return Flow::PassOn;
                }
                Phase::Session => match self.from_client.message() {
                    None => return Flow::PassOn,
                    Some(frame) => {
                        if self.client_sends(&frame) == Flow::Cut {
                            return Flow::Cut;
                        }
                        out.extend(frame.0);
                    }
                },
            }
        }
    }

    fn open(&mut self, opening: Opening) {
        self.phase = match opening {
            Opening::Encryption => Phase::Encryption,
            Opening::Cancel => Phase::Opaque,
            Opening::Session => {
                // The server's greeting ends with ReadyForQuery too.
                self.unanswered.push_back(Exchange::default());
                Phase::Session
            }
        };
    }

    fn client_sends(&mut self, frame: &Frame) -> Flow {
        let mut texts = frame.texts();
        let mut text = || texts.next().unwrap_or_default();
        match frame.kind() {
            b'P' => {
                let name = text().to_vec();
                let writes = is_write(text());
                self.statements.insert(name, writes);
            }
            b'B' => {
                let portal = text().to_vec();
                let writes = self.statements.get(text()).copied();
                self.portals.insert(portal, writes.unwrap_or(false));
            }
            b'C' => match frame.closed() {
                (true, name) => drop(self.statements.remove(name)),
                (false, name) => drop(self.portals.remove(name)),
            },
            b'E' => {
                let writes = self.portals.get(text()).copied();
                return self.execute(writes.unwrap_or(false));
            }
            b'Q' => {
                let writes = is_write(text());
                if self.execute(writes) == Flow::Cut {
                    return Flow::Cut;
                }
                self.expect_answer();
            }
            b'S' => self.expect_answer(),
            _ => {}
        }
        Flow::PassOn
    }

    fn execute(&mut self, writes: bool) -> Flow {
        let Some(plan) = writes.then(|| self.cuts.on_write()).flatten() else {
            return Flow::PassOn;
        };
        if plan.cut == Cut::BeforeForwarding {
            plan.fired.hit();
            return Flow::Cut;
        }
        self.current.plan = Some(plan);
        Flow::PassOn
    }

    fn expect_answer(&mut self) {
        self.unanswered.push_back(std::mem::take(&mut self.current));
    }

    /// The server has sent bytes; puts into `out` what the client is to get.
    pub fn server_says(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Flow {
        self.from_server.add(bytes);
        loop {
            match self.phase {
                Phase::Encryption => match self.from_server.byte() {
                    None => return Flow::PassOn,
                    Some(answer) => {
                        out.push(answer);
                        self.phase = match answer {
                            b'N' => Phase::Opening,
                            _ => Phase::Opaque,
                        };
                    }
                },
                Phase::Opening | Phase::Opaque => {
                    out.extend(self.from_server.rest());
                    return Flow::PassOn;
                }
                Phase::Session => match self.from_server.message() {
                    None => return Flow::PassOn,
                    Some(frame) => {
                        if self.server_sends(frame, out) == Flow::Cut {
                            return Flow::Cut;
                        }
                    }
                },
            }
        }
    }

    fn server_sends(&mut self, frame: Frame, out: &mut Vec<u8>) -> Flow {
        let kind = frame.kind();
        let Some(exchange) = self.unanswered.front_mut() else {
            // Notices and parameters may come at any time.
            out.extend(frame.0);
            return Flow::PassOn;
        };
        exchange.refused |= kind == b'E';
        match exchange.plan {
            None => out.extend(frame.0),
            Some(_) => exchange.held.extend(frame.0),
        }
        if kind != b'Z' {
            return Flow::PassOn;
        }
        let exchange = self.unanswered.pop_front().unwrap_or_default();
        self.finish(exchange, out)
    }

    fn finish(&mut self, exchange: Exchange, out: &mut Vec<u8>) -> Flow {
        let Some(plan) = exchange.plan else {
            return Flow::PassOn;
        };
        if exchange.refused {
            out.extend(exchange.held);
            self.cuts.postpone(plan);
            return Flow::PassOn;
        }
        plan.fired.hit();
        match plan.cut {
            Cut::InsteadOfRelaying => Flow::PassOn,
            Cut::BeforeForwarding | Cut::BeforeRelaying => Flow::Cut,
        }
    }

    /// The server has closed: what was held back of its last words.
    pub fn server_ends(&mut self) -> Vec<u8> {
        let exchange = self.unanswered.front_mut();
        exchange.map_or_else(Vec::new, |exchange| std::mem::take(&mut exchange.held))
    }
}

impl Drop for Conversation {
    /// A connection that ended otherwise has not been cut.
    fn drop(&mut self) {
        let current = std::mem::take(&mut self.current);
        let exchanges = self.unanswered.drain(..).chain([current]);
        for plan in exchanges.filter_map(|exchange| exchange.plan) {
            self.cuts.postpone(plan);
        }
    }
}

fn is_write(statement: &[u8]) -> bool {
    let statement = String::from_utf8_lossy(statement).to_ascii_lowercase();
    statement.contains(WRITE)
}

//! Scripted faults: what is to go wrong, with which calls or messages, and how
//! often. A fault is about a whole call or about single messages; of those
//! about calls, the first that fits applies, once before the call takes effect
//! and once after.
//!
//! Each counts how often it fired. One about an answer to a receive waits for
//! an answer with messages in it: losing an empty one shows nothing.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::operation::Operation;
use super::refusal::Refusal;
use crate::fake_network::fired::Fired;

#[derive(Clone, Debug)]
pub enum Action {
    // Before the call takes effect, which it then never does, but for a delay.
    Refuse(Refusal),
    Hang,
    Delay(Duration),
    /// A change takes effect once the fault is stopped, though its client may
    /// have gone by then.
    HoldBack,
    Reset,
    /// A receive finds nothing, after its whole wait, whatever is there.
    FindNothing,
    /// A receive goes on although its client has gone, and hides messages for
    /// nobody. Fires when the client goes.
    OutliveClient,

    // After the call has taken effect.
    RefuseAfterwards(Refusal),
    LoseAnswer,
    WithholdAnswer,
    DelayAnswer(Duration),
    /// Half of the answer comes, and then the connection's end.
    TruncateAnswer,
    DripAnswer {
        bytes: usize,
        pause: Duration,
    },

    // About single messages.
    WrongMd5,
    /// A member is missing from a received message: `MessageId`, for example.
    Omit(&'static str),
    /// The message comes twice in one receive.
    ComeTwice,
    /// The message comes and is not hidden: the next poller gets it as well.
    StayVisible,
    /// The message comes back so long after its deletion. Fires when it comes.
    ComeBack(Duration),
    /// The entry of a batch, or the whole of a single call, fails.
    FailEntry(Refusal),
}

/// When an action applies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Before,
    After,
    Message,
}

impl Action {
    fn stage(&self) -> Stage {
        use Action::{
            ComeBack, ComeTwice, Delay, DelayAnswer, DripAnswer, FailEntry, FindNothing, Hang,
            HoldBack, LoseAnswer, Omit, OutliveClient, Refuse, RefuseAfterwards, Reset,
            StayVisible, TruncateAnswer, WithholdAnswer, WrongMd5,
        };
        match self {
            Refuse(_) | Hang | Delay(_) | HoldBack | Reset | FindNothing | OutliveClient => {
                Stage::Before
            }
            RefuseAfterwards(_)
            | LoseAnswer
            | WithholdAnswer
            | DelayAnswer(_)
            | TruncateAnswer
            | DripAnswer { .. } => Stage::After,
            WrongMd5 | Omit(_) | ComeTwice | StayVisible | ComeBack(_) | FailEntry(_) => {
                Stage::Message
            }
        }
    }

    /// Whether choosing it is not yet its taking place.
    fn fires_later(&self) -> bool {
        matches!(self, Action::OutliveClient | Action::ComeBack(_))
    }
}

/// A fault, which takes place once unless it is told otherwise.
#[derive(Clone)]
pub struct Fault {
    action: Action,
    operations: Vec<Operation>,
    queue: Option<String>,
    messages: Option<HashSet<String>>,
    positions: Option<HashSet<usize>>,
    passing: usize,
    times: usize,
}

impl Fault {
    /// With any of these operations.
    pub fn on(operations: impl IntoIterator<Item = Operation>, action: Action) -> Fault {
        Fault {
            operations: operations.into_iter().collect(),
            ..Fault::everywhere(action)
        }
    }

    /// With every operation.
    pub fn everywhere(action: Action) -> Fault {
        Fault {
            action,
            operations: Vec::new(),
            queue: None,
            messages: None,
            positions: None,
            passing: 0,
            times: 1,
        }
    }

    pub fn in_queue(self, queue: &str) -> Fault {
        Fault {
            queue: Some(queue.to_owned()),
            ..self
        }
    }

    /// Only with these messages, which SQS knows by these ids.
    pub fn of_messages<I: AsRef<str>>(self, ids: impl IntoIterator<Item = I>) -> Fault {
        let ids = ids.into_iter().map(|id| id.as_ref().to_owned());
        Fault {
            messages: Some(ids.collect()),
            ..self.about_messages()
        }
    }

    /// Only with the entries at these positions of a batch, from 0.
    pub fn at_positions(self, positions: impl IntoIterator<Item = usize>) -> Fault {
        Fault {
            positions: Some(positions.into_iter().collect()),
            ..self.about_messages()
        }
    }

    fn about_messages(self) -> Fault {
        assert!(
            self.action.stage() == Stage::Message,
            "{:?} is about a whole call",
            self.action
        );
        self
    }

    /// Lets so many that fit pass first.
    pub fn after(self, passing: usize) -> Fault {
        Fault { passing, ..self }
    }

    pub fn times(self, times: usize) -> Fault {
        Fault { times, ..self }
    }

    /// Until its count is told to stop.
    pub fn until_stopped(self) -> Fault {
        self.times(usize::MAX)
    }
}

/// Where in a call a message stands.
pub struct Place<'a> {
    pub operation: Operation,
    pub queue: &'a str,
    /// Unknown while it is being sent.
    pub message_id: Option<&'a str>,
    /// In the batch, or in what is received.
    pub position: usize,
}

struct Armed {
    fault: Fault,
    fired: Arc<Fired>,
}

#[derive(Default)]
pub struct Faults {
    armed: Mutex<Vec<Armed>>,
}

impl Faults {
    pub fn arm(&self, fault: Fault) -> Arc<Fired> {
        let fired = Fired::new(format!("{:?} on {:?}", fault.action, fault.operations));
        self.armed().push(Armed {
            fault,
            fired: Arc::clone(&fired),
        });
        fired
    }

    /// What is to happen before a call takes effect.
    pub fn before(&self, operation: Operation, queue: Option<&str>) -> Option<Drawn> {
        self.of_call(Stage::Before, operation, queue)
    }

    /// What is to happen to a call's answer.
    pub fn after(&self, operation: Operation, queue: Option<&str>) -> Option<Drawn> {
        self.of_call(Stage::After, operation, queue)
    }

    fn of_call(&self, stage: Stage, operation: Operation, queue: Option<&str>) -> Option<Drawn> {
        self.draw(|fault| {
            fault.action.stage() == stage
                && fault.concerns(operation, queue)
                && (!matches!(fault.action, Action::FindNothing | Action::OutliveClient)
                    || operation == Operation::ReceiveMessage)
        })
    }

    /// What is to happen to a message, of the kind that the caller can do.
    pub fn of_message(&self, place: &Place, kind: fn(&Action) -> bool) -> Option<Drawn> {
        self.draw(|fault| {
            let messages = fault.messages.as_ref();
            let positions = fault.positions.as_ref();
            fault.action.stage() == Stage::Message
                && kind(&fault.action)
                && fault.concerns(place.operation, Some(place.queue))
                && messages.is_none_or(|ids| place.message_id.is_some_and(|id| ids.contains(id)))
                && positions.is_none_or(|positions| positions.contains(&place.position))
        })
    }

    fn draw(&self, fits: impl Fn(&Fault) -> bool) -> Option<Drawn> {
        let mut armed = self.armed();
        armed.retain(|armed| armed.fault.times > 0 && !armed.fired.is_stopped());
        let chosen = armed.iter_mut().filter(|armed| fits(&armed.fault));
        for chosen in chosen {
            if chosen.fault.passing > 0 {
                chosen.fault.passing -= 1;
                continue;
            }
            if chosen.fault.times != usize::MAX {
                chosen.fault.times -= 1;
            }
            let action = chosen.fault.action.clone();
            if !action.fires_later() {
                chosen.fired.hit();
            }
            return Some(Drawn {
                action,
                fired: Arc::clone(&chosen.fired),
            });
        }
        None
    }

    fn armed(&self) -> MutexGuard<'_, Vec<Armed>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fault {
    fn concerns(&self, operation: Operation, queue: Option<&str>) -> bool {
        (self.operations.is_empty() || self.operations.contains(&operation))
            && (self.queue.is_none() || self.queue.as_deref() == queue)
    }
}

/// A fault whose turn it is.
pub struct Drawn {
    pub action: Action,
    pub fired: Arc<Fired>,
}

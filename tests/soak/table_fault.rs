//! Faults that every record meets in the database while they last: a
//! constraint, a trigger of each kind of code, a lock, a ledger that refuses.
//! A host that starts meanwhile finds its table and its grants in order, so it
//! must not end; it must hold, and go on once the fault is over.

use crate::stage::Stage;
use crate::support::database::TableLock;
use crate::support::patience::Deadline;
use crate::support::pause;

/// The function behind every trigger of a fault. Its code is its argument.
pub const REFUSE: &str = "CREATE FUNCTION soak_refuse() RETURNS trigger LANGUAGE plpgsql AS \
     $$ BEGIN RAISE EXCEPTION 'as the soak asked' USING ERRCODE = TG_ARGV[0]; END $$";
/// A fault begins within this time or not at all: a restart may be in its way.
const BEGIN_SECS_MAX: u64 = 2;
/// A fault must end: restarts and locks of hosts pass within this time.
const END_SECS_MAX: u64 = 60;

/// What a fault changes in the database.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TableFault {
    /// No record fits: a constraint that nothing meets (23514).
    Constraint,
    /// A trigger refuses each row with this code.
    Trigger(&'static str),
    /// Somebody else holds the table.
    Lock,
    /// The ledger takes no rejected entry (22P05).
    LedgerRejections,
    /// The ledger takes no entry at all.
    Ledger,
}

/// A fault that lasts, and ends with [`end`](Self::end).
pub struct Standing {
    fault: TableFault,
    /// Held until the end.
    lock: Option<TableLock>,
}

impl TableFault {
    /// Begins the fault. None where the server could not be asked in time.
    pub fn begin(self, stage: &Stage) -> Option<Standing> {
        let deadline = Deadline::after_secs(BEGIN_SECS_MAX);
        loop {
            let lock = match self {
                Self::Lock => stage.database.try_lock("user_logins"),
                _ => None,
            };
            let begun = match self {
                Self::Lock => lock.is_some(),
                _ => stage.database.try_execute(&self.beginning()),
            };
            if begun {
                return Some(Standing { fault: self, lock });
            }
            if deadline.is_over() {
                // A lost answer may hide that the fault stands.
                Standing { fault: self, lock }.end(stage);
                return None;
            }
            pause();
        }
    }

    fn beginning(self) -> String {
        let trigger = |table: &str, when: &str, code: &str| {
            format!(
                "CREATE TRIGGER soak_fault BEFORE INSERT ON {table} FOR EACH ROW {when} \
                 EXECUTE FUNCTION soak_refuse('{code}')"
            )
        };
        match self {
            Self::Constraint => "ALTER TABLE user_logins ADD CONSTRAINT soak_fault \
                 CHECK (user_id IS NULL) NOT VALID"
                .to_owned(),
            Self::Trigger(code) => trigger("user_logins", "", code),
            Self::Ledger => trigger("etl_host.ledger", "", "XX000"),
            Self::LedgerRejections => trigger(
                "etl_host.ledger",
                "WHEN (NEW.outcome = 'rejected')",
                "22P05",
            ),
            Self::Lock => String::new(),
        }
    }

    fn ending(self) -> &'static str {
        match self {
            Self::Constraint => "ALTER TABLE user_logins DROP CONSTRAINT IF EXISTS soak_fault",
            Self::Trigger(_) => "DROP TRIGGER IF EXISTS soak_fault ON user_logins",
            Self::Ledger | Self::LedgerRejections => {
                "DROP TRIGGER IF EXISTS soak_fault ON etl_host.ledger"
            }
            Self::Lock => "",
        }
    }
}

impl Standing {
    /// Ends the fault, however often the server has to be asked.
    pub fn end(self, stage: &Stage) {
        drop(self.lock);
        let deadline = Deadline::after_secs(END_SECS_MAX);
        while !stage.database.try_execute(self.fault.ending()) {
            assert!(!deadline.is_over(), "a fault of the table does not end");
            pause();
        }
    }
}

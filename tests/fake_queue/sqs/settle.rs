//! Deleting and changing visibility. Before a delete takes effect the judge is
//! asked; it does not keep the delete from taking effect.

use serde_json::json;

use super::{Done, Sqs};
use crate::fake_queue::fault::Place;
use crate::fake_queue::input::Input;
use crate::fake_queue::journal::{Effect, Entry};
use crate::fake_queue::judge::Suspect;
use crate::fake_queue::operation::Operation;
use crate::fake_queue::refusal::Refusal;
use crate::fake_queue::store::settle::Deletion;

impl Sqs {
    pub(super) async fn judge_delete(
        &self,
        queue: &str,
        entries: &[&Input],
    ) -> Result<(), Refusal> {
        let suspects: Vec<Suspect> = {
            let mut store = self.store();
            let queue = store.queue(queue)?;
            let handles = entries.iter().filter_map(|entry| {
                let text = entry.text("ReceiptHandle").ok()?;
                queue.parse_handle(text).ok()
            });
            let messages = handles.filter_map(|handle| queue.message(handle));
            messages
                .map(|message| Suspect {
                    message_id: message.message_id.clone(),
                    origin_id: message.origin_id().to_owned(),
                })
                .collect()
        };
        self.judge
            .before_delete(&self.store, queue, &suspects)
            .await;
        Ok(())
    }

    pub(super) fn delete(
        &self,
        operation: Operation,
        queue: &str,
        input: &Input,
        position: usize,
    ) -> Done {
        let mut store = self.store();
        let now = store.clock.now();
        let mut message_id = None;
        let mut delete = || {
            let queue = store.queue(queue)?;
            let handle = queue.parse_handle(input.text("ReceiptHandle")?)?;
            let id = message_id.insert(queue.message_id(handle)).clone();
            let name = queue.name.clone();
            let place = Place {
                operation,
                queue: &name,
                message_id: Some(&id),
                position,
            };
            self.fail_entry(&place)?;
            queue.delete(now, handle, &self.faults, &place)
        };
        let result = delete();
        // In a FIFO queue the rest of the group may be next.
        self.changed.notify_waiters();
        let effect = match &result {
            Ok(Deletion::Done) => Effect::Deleted,
            Ok(Deletion::Nothing) => Effect::NothingDeleted,
            Err(refusal) => Effect::Failed(refusal.code.clone()),
        };
        Done {
            entry: message_id.map(|message_id| Entry { message_id, effect }),
            result: result.map(|_| json!({})),
        }
    }

    pub(super) fn extend(
        &self,
        operation: Operation,
        queue: &str,
        input: &Input,
        position: usize,
    ) -> Done {
        let mut store = self.store();
        let now = store.clock.now();
        let mut message_id = None;
        let mut extend = || {
            let queue = store.queue(queue)?;
            let handle = queue.parse_handle(input.text("ReceiptHandle")?)?;
            let id = message_id.insert(queue.message_id(handle)).clone();
            let secs = input.number("VisibilityTimeout", 0, u32::MAX)?;
            let secs = secs.ok_or_else(|| Refusal::missing("VisibilityTimeout"))?;
            self.fail_entry(&queue.place(operation, Some(&id), position))?;
            queue.change_visibility(now, handle, secs)?;
            Ok(secs)
        };
        let result: Result<u32, Refusal> = extend();
        self.changed.notify_waiters();
        let effect = match &result {
            Ok(0) => Effect::Released,
            Ok(_) => Effect::Extended,
            Err(refusal) => Effect::NotExtended(refusal.code.clone()),
        };
        Done {
            entry: message_id.map(|message_id| Entry { message_id, effect }),
            result: result.map(|_| json!({})),
        }
    }
}

//! HTTP: requests in, answers out, and what goes wrong on the way. Faults that
//! are about a whole call are carried out here, before and after the call
//! takes effect; every call is entered in the journal first.
//!
//! A call that changes something is performed to its end though its client has
//! gone. A long poll ends with its client, unless a fault says otherwise.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::time::sleep;

use super::answer::Answer;
use super::fault::Action;
use super::input::Input;
use super::journal::Outcome;
use super::operation::Operation;
use super::refusal::Refusal;
use super::sqs::{Performed, Sqs};
use super::store::message::new_message_id;
use crate::fake_network::door::{Abrupt, Guest};
use crate::fake_network::fired::Fired;

/// Ten messages of 1 MiB, each letter escaped in JSON, would be 60 MiB.
const REQUEST_BYTES_MAX: usize = 64 << 20;
/// Between two looks at whether a call is still held back.
const HELD_BACK_PAUSE: Duration = Duration::from_millis(10);

/// The connection is to end without an answer.
#[derive(Debug)]
struct Gone;

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ended without an answer, as the test asked")
    }
}

impl std::error::Error for Gone {}

/// Serves a connection until it ends.
pub async fn serve(sqs: Arc<Sqs>, guest: Guest) {
    let abrupt = guest.abrupt();
    let service = service_fn(move |request| {
        let (sqs, abrupt) = (Arc::clone(&sqs), abrupt.clone());
        async move { answer(sqs, request, abrupt).await }
    });
    // An error is a client that went away, or a fault that was carried out.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(guest), service)
        .await;
}

async fn answer(
    sqs: Arc<Sqs>,
    request: Request<Incoming>,
    abrupt: Abrupt,
) -> Result<Response<Answer>, Gone> {
    let target = request.headers().get("x-amz-target");
    let target = target.and_then(|target| target.to_str().ok());
    let Some(operation) = target.and_then(Operation::from_target) else {
        return Ok(refuse(&Refusal::unknown_operation()));
    };
    let client = request.headers().get(USER_AGENT);
    let client = client.and_then(|client| client.to_str().ok());
    let client = client.unwrap_or_default().to_owned();
    let body = read(request.into_body()).await?;
    let input = match Input::parse(&body) {
        Ok(input) => input,
        Err(refusal) => return Ok(refuse(&refusal)),
    };
    let queue = input.queue().ok();
    let queue = queue.or_else(|| input.optional_text("QueueName"));
    let visit = Visit {
        number: sqs.journal.begin(operation, queue.as_deref(), &client),
        sqs,
        operation,
        queue,
        abrupt,
    };
    visit.answer(input).await
}

/// A call on its way.
struct Visit {
    sqs: Arc<Sqs>,
    operation: Operation,
    queue: Option<String>,
    /// Its number in the journal.
    number: usize,
    abrupt: Abrupt,
}

impl Drop for Visit {
    /// Without an answer until now, it gets none.
    fn drop(&mut self) {
        self.sqs.journal.abandon(self.number);
    }
}

impl Visit {
    async fn answer(&self, input: Input) -> Result<Response<Answer>, Gone> {
        let faults = &self.sqs.faults;
        let fault = faults.before(self.operation, self.queue.as_deref());
        let (mut outlives_client, mut held_back) = (None, None);
        if let Some(fault) = fault {
            match fault.action {
                Action::Refuse(refusal) => return Ok(self.refused(&refusal)),
                Action::Hang => pending().await,
                Action::Delay(delay) => sleep(delay).await,
                Action::HoldBack => held_back = Some(fault.fired),
                Action::Reset => return Err(self.lost()),
                Action::FindNothing => return Ok(self.find_nothing(&input).await),
                Action::OutliveClient => outlives_client = Some(fault.fired),
                _ => {}
            }
        }
        let performed = self.perform(input, outlives_client, held_back).await;
        self.answer_with(performed).await
    }

    async fn perform(
        &self,
        input: Input,
        outlives_client: Option<Arc<Fired>>,
        held_back: Option<Arc<Fired>>,
    ) -> Performed {
        let performing = Arc::clone(&self.sqs).perform(self.operation, input, self.number);
        if self.operation == Operation::ReceiveMessage && outlives_client.is_none() {
            return performing.await;
        }
        let watch = outlives_client.map(WatchClient);
        let performing = async move {
            while held_back.as_ref().is_some_and(|fault| !fault.is_stopped()) {
                sleep(HELD_BACK_PAUSE).await;
            }
            performing.await
        };
        let performed = tokio::spawn(performing).await;
        if let Some(watch) = watch {
            watch.stayed();
        }
        performed.unwrap_or_else(|_| Refusal::internal_error().into())
    }

    async fn answer_with(&self, performed: Performed) -> Result<Response<Answer>, Gone> {
        let answer = match &performed.answer {
            Ok(answer) => answer.to_string().into_bytes(),
            Err(refusal) => return Ok(self.refused(refusal)),
        };
        let faults = &self.sqs.faults;
        let fault = performed
            .did_something(self.operation)
            .then(|| faults.after(self.operation, self.queue.as_deref()))
            .flatten();
        let length = answer.len();
        let body = match fault.map(|fault| fault.action) {
            Some(Action::RefuseAfterwards(refusal)) => return Ok(self.refused(&refusal)),
            Some(Action::LoseAnswer) => return Err(self.lost()),
            Some(Action::WithholdAnswer) => {
                self.end(Outcome::Lost);
                pending().await
            }
            Some(Action::DelayAnswer(delay)) => {
                sleep(delay).await;
                Answer::whole(answer)
            }
            Some(Action::TruncateAnswer) => {
                self.end(Outcome::Lost);
                return Ok(respond(length, Answer::truncated(answer)));
            }
            Some(Action::DripAnswer { bytes, pause }) => Answer::dripping(answer, bytes, pause),
            _ => Answer::whole(answer),
        };
        self.end(Outcome::Answered);
        Ok(respond(length, body))
    }

    /// Waits for as long as asked, and gives nothing.
    async fn find_nothing(&self, input: &Input) -> Response<Answer> {
        let wait = input.number("WaitTimeSeconds", 0, u32::MAX).ok().flatten();
        sleep(Duration::from_secs(wait.unwrap_or(0).into())).await;
        self.end(Outcome::Answered);
        respond(2, Answer::whole(b"{}".to_vec()))
    }

    fn refused(&self, refusal: &Refusal) -> Response<Answer> {
        let outcome = Outcome::Refused(refusal.code.clone());
        self.end(outcome);
        refuse(refusal)
    }

    fn end(&self, outcome: Outcome) {
        self.sqs.journal.end(self.number, outcome);
    }

    fn lost(&self) -> Gone {
        self.end(Outcome::Lost);
        self.abrupt.set();
        Gone
    }
}

/// Fires when it is dropped before it is told that the client stayed.
struct WatchClient(Arc<Fired>);

impl WatchClient {
    fn stayed(self) {
        std::mem::forget(self);
    }
}

impl Drop for WatchClient {
    fn drop(&mut self) {
        self.0.hit();
    }
}

async fn read(mut body: Incoming) -> Result<Vec<u8>, Gone> {
    let mut bytes = Vec::new();
    while let Some(frame) =
        std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
    {
        let frame = frame.map_err(|_| Gone)?;
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > REQUEST_BYTES_MAX {
            return Err(Gone);
        }
    }
    Ok(bytes)
}

fn refuse(refusal: &Refusal) -> Response<Answer> {
    let body = refusal.body().to_string().into_bytes();
    let mut response = respond(body.len(), Answer::whole(body));
    *response.status_mut() = refusal.status;
    let header = refusal.header().parse();
    let header = header.expect("a code is a header's value");
    response.headers_mut().insert("x-amzn-query-error", header);
    response
}

fn respond(length: usize, body: Answer) -> Response<Answer> {
    Response::builder()
        .status(StatusCode::OK)
        .header(CONTENT_TYPE, "application/x-amz-json-1.0")
        .header(CONTENT_LENGTH, length)
        .header("x-amzn-requestid", new_message_id())
        .body(body)
        .expect("a response of known parts")
}

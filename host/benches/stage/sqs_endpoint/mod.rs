//! An SQS endpoint in memory that is cheap enough never to be what a
//! measurement waits for: AWS JSON 1.0 over HTTP, one thread, messages that
//! are written as JSON before anybody asks for them.
//!
//! It keeps SQS's rules as far as a load without faults meets them: received
//! messages are hidden and come back, only the newest receipt handle deletes,
//! receives wait for messages. It checks no signature and no limit, knows no
//! FIFO order, and drops message attributes: `tests/fake_queue` is the strict one.

mod answer;
mod histogram;
mod operation;
mod request;
mod stats;
mod store;

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::Notify;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep_until};

use operation::Operation;
use request::{Delete, Hide, Named, Receive, Send};
use stats::Stats;
use store::Queue;

/// The queue that is filled beforehand.
pub const QUEUE: &str = "load-queue";
/// Where its rejected messages go.
const DEAD_LETTER_QUEUE: &str = "load-queue-dead-letter";
const ACCOUNT: &str = "000000000000";
/// As long as a new queue of SQS hides a received message.
const VISIBILITY_SECS: u64 = 30;
/// The path under which the endpoint tells what it has seen.
pub const STATS: &str = "/stats";

/// A filled endpoint that does not answer yet.
pub struct Endpoint {
    listener: TcpListener,
    latency: Duration,
    queue: Queue,
}

/// What the requests share.
struct Shared {
    address: SocketAddr,
    latency: Duration,
    state: RefCell<State>,
    /// A message has become visible.
    arrived: Notify,
}

struct State {
    queue: Queue,
    dead_letters: Queue,
    stats: Stats,
}

impl Endpoint {
    /// Listens on a free port of the loopback address, its queue filled with
    /// these bodies. Each call takes `latency` longer than it has to, half of
    /// it before it takes effect; the clock behind it counts milliseconds, and
    /// rounds up, so that it is half a millisecond more on average.
    pub fn filled(bodies: impl Iterator<Item = String>, latency: Duration) -> Endpoint {
        let mut queue = Queue::default();
        for body in bodies {
            queue.send(&body);
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("listen on the loopback address");
        Endpoint {
            listener,
            latency,
            queue,
        }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("a bound address")
    }

    /// Where it listens, as `http://ADDRESS`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Answers on this thread, for ever.
    pub fn serve(self) -> ! {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("start the endpoint's runtime");
        let shared = Rc::new(Shared {
            address: self.address(),
            latency: self.latency,
            state: RefCell::new(State {
                queue: self.queue,
                dead_letters: Queue::default(),
                stats: Stats::start(),
            }),
            arrived: Notify::new(),
        });
        let listener = self.listener;
        listener
            .set_nonblocking(true)
            .expect("a listener for tokio");
        LocalSet::new().block_on(&runtime, async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a tokio listener");
            loop {
                let (stream, _) = listener.accept().await.expect("accept a connection");
                stream.set_nodelay(true).expect("send answers at once");
                let shared = Rc::clone(&shared);
                spawn_local(async move {
                    let service = service_fn(move |request| answer(Rc::clone(&shared), request));
                    // An error is a client that went away.
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        })
    }
}

/// The URL of the filled queue at an endpoint.
pub fn queue_url(endpoint: &str) -> String {
    format!("{endpoint}/{ACCOUNT}/{QUEUE}")
}

type Answer = Result<Response<String>, Infallible>;

async fn answer(shared: Rc<Shared>, request: Request<Incoming>) -> Answer {
    if request.uri().path() == STATS {
        return Ok(respond(shared.state.borrow_mut().stats.json()));
    }
    let target = request.headers().get("x-amz-target");
    let Some(operation) = target.and_then(|target| Operation::from_target(target.as_bytes()))
    else {
        return Ok(refuse("UnsupportedOperation"));
    };
    let Ok(body) = request.into_body().collect().await else {
        return Ok(refuse("InvalidRequest"));
    };
    let body = body.to_bytes();
    let arrived = Instant::now();
    shared.travel(arrived + shared.latency / 2).await;
    let began = Instant::now();
    shared.state.borrow_mut().stats.called(operation);
    let answer = match operation {
        Operation::ReceiveMessage => shared.receive(&body).await,
        _ => shared.perform(operation, &body),
    };
    // What the first half took too long is taken off the second.
    shared
        .travel(arrived + shared.latency + began.elapsed())
        .await;
    Ok(match answer {
        Ok(answer) => respond(answer),
        Err(error) => {
            eprintln!("the endpoint refuses {operation:?}: {error}");
            refuse("InvalidRequest")
        }
    })
}

impl Shared {
    /// One way of a round trip, which ends then.
    async fn travel(&self, until: Instant) {
        if !self.latency.is_zero() {
            sleep_until(until).await;
        }
    }

    async fn receive(&self, body: &Bytes) -> serde_json::Result<String> {
        let receive: Receive<'_> = serde_json::from_slice(body)?;
        let until = Instant::now() + Duration::from_secs(receive.wait_time_seconds);
        let visibility = receive.visibility_timeout.unwrap_or(VISIBILITY_SECS);
        loop {
            let arrived = self.arrived.notified();
            let next = {
                let state = &mut *self.state.borrow_mut();
                let queue = state.chosen(&receive.queue_url);
                let mut answer = String::new();
                let taken = queue.receive(&receive, Duration::from_secs(visibility), &mut answer);
                if taken > 0 || Instant::now() >= until {
                    state.stats.received(taken);
                    return Ok(answer);
                }
                queue.next_return()
            };
            tokio::select! {
                () = arrived => {}
                () = sleep_until(next.map_or(until, |next| until.min(next.into()))) => {}
            }
        }
    }

    fn perform(&self, operation: Operation, body: &Bytes) -> serde_json::Result<String> {
        let state = &mut *self.state.borrow_mut();
        match operation {
            Operation::ReceiveMessage => Ok(String::new()),
            Operation::DeleteMessageBatch => {
                let Delete { queue_url, entries } = serde_json::from_slice(body)?;
                let mut deleted = Vec::with_capacity(entries.len());
                let queue = state.chosen(&queue_url);
                let answer = queue.delete(&entries, &mut deleted);
                state.stats.deleted(&deleted);
                Ok(answer)
            }
            Operation::ChangeMessageVisibilityBatch => {
                let Hide { queue_url, entries } = serde_json::from_slice(body)?;
                let answer = state.chosen(&queue_url).hide(&entries);
                self.arrived.notify_waiters();
                Ok(answer)
            }
            Operation::SendMessageBatch => {
                let Send { queue_url, entries } = serde_json::from_slice(body)?;
                let answer = state.chosen(&queue_url).send_batch(&entries);
                self.arrived.notify_waiters();
                Ok(answer)
            }
            Operation::GetQueueAttributes => {
                let Named { queue_url, .. } = serde_json::from_slice(body)?;
                Ok(attributes(&queue_url, state))
            }
            Operation::GetQueueUrl => {
                let Named { queue_name, .. } = serde_json::from_slice(body)?;
                let url = format!("http://{}/{ACCOUNT}/{queue_name}", self.address);
                Ok(serde_json::json!({ "QueueUrl": url }).to_string())
            }
        }
    }
}

impl State {
    fn chosen(&mut self, url: &str) -> &mut Queue {
        match url.ends_with(DEAD_LETTER_QUEUE) {
            true => &mut self.dead_letters,
            false => &mut self.queue,
        }
    }
}

fn attributes(url: &str, state: &mut State) -> String {
    let arn = |name: &str| format!("arn:aws:sqs:eu-central-1:{ACCOUNT}:{name}");
    let dead_letter_arn = arn(DEAD_LETTER_QUEUE);
    let redrive = serde_json::json!({"deadLetterTargetArn": dead_letter_arn, "maxReceiveCount": 3});
    let counts = state.chosen(url).counts();
    let name = url.rsplit('/').next().unwrap_or_default();
    let mut attributes = serde_json::json!({
        "QueueArn": arn(name),
        "VisibilityTimeout": VISIBILITY_SECS.to_string(),
        "MessageRetentionPeriod": "345600",
        "ApproximateNumberOfMessages": counts.visible.to_string(),
        "ApproximateNumberOfMessagesNotVisible": counts.hidden.to_string(),
        "ApproximateNumberOfMessagesDelayed": "0",
    });
    if name == QUEUE {
        attributes["RedrivePolicy"] = redrive.to_string().into();
    }
    serde_json::json!({ "Attributes": attributes }).to_string()
}

fn respond(json: String) -> Response<String> {
    let mut response = Response::new(json);
    let format = HeaderValue::from_static("application/x-amz-json-1.0");
    response.headers_mut().insert(CONTENT_TYPE, format);
    response
}

fn refuse(code: &str) -> Response<String> {
    let mut response = respond(format!(r#"{{"__type":"com.amazonaws.sqs#{code}"}}"#));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

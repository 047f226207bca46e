//! The SQS endpoint of `etl-host demo`.
//!
//! Owns one loopback listener and the one thread that answers it. Invariant:
//! nothing of it outlives the `QueueServer`; dropping that closes the listener,
//! every connection and every queue. Deliberately not here: creating queues,
//! sending messages and every check of a signature. Callers do the first two
//! through the AWS SDK, as they would against AWS; any credentials pass.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use rustack_sqs_core::config::SqsConfig;
use rustack_sqs_core::handler::RustackSqsHandler;
use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_http::service::{SqsHttpConfig, SqsHttpService};
use tokio::sync::{Semaphore, oneshot};

/// The region that the endpoint's queue ARNs name. Requests signed for another
/// region are answered all the same.
pub const REGION: &str = "us-east-1";

/// The account that the endpoint's queue URLs and ARNs name.
const ACCOUNT_ID: &str = "000000000000";

/// Open connections at once; the next one waits in the listener's backlog.
const CONNECTIONS_MAX: usize = 128;

/// Pause after a failed accept, in milliseconds: without it, being out of file
/// descriptors would spin.
const ACCEPT_RETRY_MS: u64 = 50;

type SqsService = SqsHttpService<RustackSqsHandler>;

/// A running SQS endpoint on a free loopback port. Its queues live in memory
/// and end with it.
#[derive(Debug)]
pub struct QueueServer {
    address: SocketAddr,
    /// Dropped to ask the thread to stop.
    running: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl QueueServer {
    /// Binds a free loopback port and serves it until the value is dropped.
    /// Needs no async runtime around it.
    ///
    /// # Errors
    /// When no loopback port, runtime or thread can be had.
    pub fn start() -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("bind a loopback port")?;
        let address = listener.local_addr().context("read the bound port")?;
        listener
            .set_nonblocking(true)
            .context("make the listener non-blocking")?;
        // A runtime of its own: the endpoint answers whatever the caller's
        // runtime is busy with, and dropping it ends the queues' tasks too.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("build the endpoint's runtime")?;
        let (running, stop) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("demo-queue".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = serve(listener, service(address)) => {}
                        // Resolves, with an error, when `running` is dropped.
                        _ = stop => {}
                    }
                });
            })
            .context("start the endpoint's thread")?;
        Ok(Self {
            address,
            running: Some(running),
            thread: Some(thread),
        })
    }

    /// What `AWS_ENDPOINT_URL_SQS` takes: `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for QueueServer {
    fn drop(&mut self) {
        drop(self.running.take());
        if let Some(thread) = self.thread.take() {
            // A panic over there has been reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

fn service(address: SocketAddr) -> SqsService {
    let provider = RustackSqs::new(SqsConfig {
        skip_signature_validation: true,
        default_region: REGION.to_owned(),
        account_id: ACCOUNT_ID.to_owned(),
        host: address.ip().to_string(),
        port: address.port(),
    });
    SqsHttpService::new(
        Arc::new(RustackSqsHandler::new(Arc::new(provider))),
        SqsHttpConfig {
            skip_signature_validation: true,
            region: REGION.to_owned(),
            credential_provider: None,
        },
    )
}

async fn serve(listener: TcpListener, service: SqsService) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the demo's SQS endpoint cannot listen");
            return;
        }
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(ACCEPT_RETRY_MS)).await;
            continue;
        };
        let service = service.clone();
        tokio::spawn(async move {
            let _place = place;
            // Small requests and answers: Nagle's algorithm would only delay
            // them. Both errors concern one client that has gone.
            let _ = stream.set_nodelay(true);
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use super::*;

    fn ask(address: SocketAddr, operation: &str, body: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        write!(
            stream,
            "POST / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
             x-amz-target: AmazonSQS.{operation}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    #[test]
    fn an_unsigned_request_makes_a_queue_at_this_endpoint() -> anyhow::Result<()> {
        let server = QueueServer::start()?;
        let answer = ask(server.address, "CreateQueue", r#"{"QueueName":"q"}"#)?;
        let url = format!("{}/{ACCOUNT_ID}/q", server.endpoint_url());
        assert!(answer.contains(&url), "{answer}");
        Ok(())
    }

    #[test]
    fn dropping_the_server_frees_its_port() -> anyhow::Result<()> {
        let server = QueueServer::start()?;
        let address = server.address;
        let idle_client = TcpStream::connect(address)?;
        drop(server);
        assert!(TcpStream::connect(address).is_err());
        drop(idle_client);
        Ok(())
    }

    #[test]
    fn two_servers_do_not_share_queues() -> anyhow::Result<()> {
        let (one, other) = (QueueServer::start()?, QueueServer::start()?);
        ask(one.address, "CreateQueue", r#"{"QueueName":"q"}"#)?;
        let answer = ask(other.address, "GetQueueUrl", r#"{"QueueName":"q"}"#)?;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        Ok(())
    }
}

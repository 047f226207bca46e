//! One connection through the network: two pumps that look at what passes,
//! and two that deliver it, late where the network is slow and not at all
//! while it is paused. A black hole swallows an end as well: the server does
//! not learn that the client has gone before the network is resumed.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::conversation::{Conversation, Flow};
use super::cuts::Cuts;
use super::door::{Abrupt, Guest};
use super::fired::Fired;

/// Parcels that wait on their way; beyond that the sender feels it.
const PARCELS_MAX: usize = 1024;
const READ_BYTES_MAX: usize = 64 * 1024;

/// The weather on the line. Each fault comes with its count.
#[derive(Clone, Default)]
pub struct Weather {
    pub paused: Option<Arc<Fired>>,
    pub refusing: Option<Arc<Fired>>,
    pub delayed: Option<(Duration, Arc<Fired>)>,
}

struct Parcel {
    due: Instant,
    bytes: Vec<u8>,
}

/// A side's end that was not in peace, or a cut.
struct Broken;

pub async fn relay(
    client: Guest,
    server: SocketAddr,
    cuts: Arc<Cuts>,
    mut weather: watch::Receiver<Weather>,
) {
    let abrupt = client.abrupt();
    if let Some(refusing) = weather.borrow().refusing.clone() {
        refusing.hit();
        abrupt.set();
        return;
    }
    calm(&mut weather).await;
    match TcpStream::connect(server).await {
        // How it ended shows at both sides.
        Ok(server) => drop(carry(client, server, cuts, weather, &abrupt).await),
        Err(_) => abrupt.set(),
    }
}

async fn carry(
    client: Guest,
    server: TcpStream,
    cuts: Arc<Cuts>,
    weather: watch::Receiver<Weather>,
    abrupt: &Abrupt,
) -> Result<(), Broken> {
    let _ = server.set_nodelay(true);
    // A server's session must not outlive a connection that was cut.
    let _ = server.set_zero_linger();
    let conversation = Arc::new(Mutex::new(Conversation::new(cuts)));
    let (client_reader, client_writer) = split(client);
    let (server_reader, server_writer) = split(server);
    let (to_server, for_server) = mpsc::channel(PARCELS_MAX);
    let (to_client, for_client) = mpsc::channel(PARCELS_MAX);
    let (asked, answered) = (Arc::clone(&conversation), conversation);
    let upward = pump(
        client_reader,
        to_server,
        &weather,
        move |bytes, out| match bytes {
            Some(bytes) => lock(&asked).client_says(bytes, out),
            None => Flow::PassOn,
        },
    );
    let downward = pump(server_reader, to_client, &weather, move |bytes, out| {
        let mut conversation = lock(&answered);
        match bytes {
            Some(bytes) => conversation.server_says(bytes, out),
            None => {
                out.extend(conversation.server_ends());
                Flow::PassOn
            }
        }
    });
    tokio::try_join!(
        abruptly(upward, abrupt),
        abruptly(downward, abrupt),
        abruptly(deliver(for_server, server_writer, weather.clone()), abrupt),
        abruptly(deliver(for_client, client_writer, weather.clone()), abrupt),
    )?;
    Ok(())
}

/// Makes a broken end a reset, before the others are dropped and the stream
/// with them.
async fn abruptly(
    end: impl Future<Output = Result<(), Broken>>,
    abrupt: &Abrupt,
) -> Result<(), Broken> {
    end.await.inspect_err(|_| abrupt.set())
}

fn lock(conversation: &Mutex<Conversation>) -> MutexGuard<'_, Conversation> {
    conversation.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads, has what was read looked at, and sends it on its way. `look` gets
/// None at the end.
async fn pump(
    mut reader: impl AsyncRead + Unpin,
    parcels: mpsc::Sender<Parcel>,
    weather: &watch::Receiver<Weather>,
    mut look: impl FnMut(Option<&[u8]>, &mut Vec<u8>) -> Flow,
) -> Result<(), Broken> {
    let mut buffer = vec![0; READ_BYTES_MAX];
    loop {
        let read = reader.read(&mut buffer).await.map_err(|_| Broken)?;
        let mut bytes = Vec::new();
        let seen = (read > 0).then(|| &buffer[..read]);
        if look(seen, &mut bytes) == Flow::Cut {
            return Err(Broken);
        }
        if !bytes.is_empty() {
            let due = due(weather);
            parcels
                .send(Parcel { due, bytes })
                .await
                .map_err(|_| Broken)?;
        }
        if read == 0 {
            return Ok(());
        }
    }
}

fn due(weather: &watch::Receiver<Weather>) -> Instant {
    match &weather.borrow().delayed {
        None => Instant::now(),
        Some((delay, fired)) => {
            fired.hit();
            Instant::now() + *delay
        }
    }
}

async fn deliver(
    mut parcels: mpsc::Receiver<Parcel>,
    mut writer: impl AsyncWrite + Unpin,
    mut weather: watch::Receiver<Weather>,
) -> Result<(), Broken> {
    while let Some(parcel) = parcels.recv().await {
        sleep_until(parcel.due).await;
        calm(&mut weather).await;
        writer.write_all(&parcel.bytes).await.map_err(|_| Broken)?;
    }
    calm(&mut weather).await;
    writer.shutdown().await.map_err(|_| Broken)
}

/// Waits while the network is paused.
async fn calm(weather: &mut watch::Receiver<Weather>) {
    if let Some(paused) = &weather.borrow().paused {
        paused.hit();
    }
    // An error means that the network is gone, and this task about to go.
    let _ = weather.wait_for(|weather| weather.paused.is_none()).await;
}

//! The network between a client and PostgreSQL, and what goes wrong with it: a
//! proxy on the loopback address that can fall silent, reset, refuse, be slow,
//! and cut a connection exactly before or after a write. It passes everything
//! on unless told otherwise, and counts what it did, so that a test can show
//! that its fault took place.
//!
//! It runs on a thread of its own. TLS passes through, unread: writes are then
//! not recognised. The door and the runtime serve the fake queue as well.

mod claims;
mod conversation;
mod cuts;
pub mod door;
pub mod fired;
mod frames;
pub mod own_runtime;
mod relay;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use cuts::{Cut, Cuts};
use door::Door;
use fired::Fired;
use own_runtime::OwnRuntime;
use relay::{Weather, relay};

pub struct Network {
    door: Door,
    cuts: Arc<Cuts>,
    weather: watch::Sender<Weather>,
    connections: Arc<AtomicUsize>,
    runtime: OwnRuntime,
}

impl Network {
    /// A network at whose end the given address is.
    pub fn before(server: SocketAddr) -> Network {
        let runtime = OwnRuntime::start("fake-network");
        let (weather, seen) = watch::channel(Weather::default());
        let cuts: Arc<Cuts> = Arc::default();
        let connections: Arc<AtomicUsize> = Arc::default();
        let (for_relay, count) = (Arc::clone(&cuts), Arc::clone(&connections));
        let door = Door::open(&runtime, move |client| {
            count.fetch_add(1, Ordering::SeqCst);
            relay(client, server, Arc::clone(&for_relay), seen.clone())
        });
        Network {
            door,
            cuts,
            weather,
            connections,
            runtime,
        }
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.door.address()
    }

    /// How many connections have come in so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many writes have come by so far: executions of a statement that
    /// inserts into the ledger.
    pub fn writes(&self) -> usize {
        self.cuts.writes()
    }

    /// A black hole: connections stay, nothing passes, new ones hang. Counts
    /// what was stopped on its way.
    pub fn pause(&self) -> Arc<Fired> {
        let fired = Fired::new("pause the network");
        let paused = Some(Arc::clone(&fired));
        self.weather.send_modify(|weather| weather.paused = paused);
        fired
    }

    /// What was stopped arrives, in order.
    pub fn resume(&self) {
        self.weather.send_modify(|weather| weather.paused = None);
    }

    /// Everything takes this much longer in each direction; no time at all
    /// ends it. Counts the parcels that were late.
    pub fn delay(&self, each_way: Duration) -> Arc<Fired> {
        let fired = Fired::new("delay the network");
        let delayed = (!each_way.is_zero()).then(|| (each_way, Arc::clone(&fired)));
        self.weather
            .send_modify(|weather| weather.delayed = delayed);
        fired
    }

    /// Resets each new connection as soon as it is there, and counts them.
    pub fn refuse(&self) -> Arc<Fired> {
        let fired = Fired::new("refuse connections");
        let refusing = Some(Arc::clone(&fired));
        self.weather
            .send_modify(|weather| weather.refusing = refusing);
        fired
    }

    /// Takes new connections again.
    pub fn admit(&self) {
        self.weather.send_modify(|weather| weather.refusing = None);
    }

    /// Resets all connections that are there. Returns how many.
    pub fn reset_all(&self) -> usize {
        self.door.reset_all(&self.runtime)
    }

    /// As if the server were stopped: all connections are reset, and nobody
    /// listens, which cannot count who was refused. Returns how many were
    /// reset.
    pub fn go_down(&self) -> usize {
        self.door.close(&self.runtime)
    }

    /// Listens again, on the same port.
    pub fn come_up(&self) {
        self.door.reopen(&self.runtime);
    }

    /// The nth write from now on never reaches the server: the connection is
    /// reset instead.
    pub fn cut_before_write(&self, nth: usize) -> Arc<Fired> {
        self.cuts.plan(Cut::BeforeForwarding, nth)
    }

    /// The nth write from now on is carried out by the server, and the
    /// connection is reset before the client learns. Where the server refuses
    /// it, the next one takes its place.
    pub fn cut_after_write(&self, nth: usize) -> Arc<Fired> {
        self.cuts.plan(Cut::BeforeRelaying, nth)
    }

    /// The nth write from now on is carried out by the server, the client
    /// never learns, and the connection stays.
    pub fn swallow_answer(&self, nth: usize) -> Arc<Fired> {
        self.cuts.plan(Cut::InsteadOfRelaying, nth)
    }
}

//! The wish to stop: asked for once, seen by every part that takes new work.

use tokio::sync::watch;

/// Asks for the stop.
#[derive(Clone, Debug)]
pub struct StopSwitch(watch::Sender<bool>);

/// Tells whether a stop is asked for.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// A switch and its signal.
pub fn shutdown() -> (StopSwitch, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (StopSwitch(sender), Shutdown(receiver))
}

impl StopSwitch {
    /// Asks for the stop; asking again changes nothing.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Whether a stop is asked for.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until a stop is asked for.
    pub async fn requested(&mut self) {
        // The switch is gone only where everything ends anyway.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

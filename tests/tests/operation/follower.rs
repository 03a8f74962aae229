//! A consumer of the event bus.

use std::sync::{Arc, Mutex};

use async_nats::jetstream::{self, consumer::pull::OrderedConfig, message::Message};
use cqar_proto::v1::Event;
use cqar_tests::{collect::until, nats::Nats};
use futures::StreamExt as _;
use tokio::task::JoinHandle;

/// Follows the stream from its first message on, and keeps what it is given.
pub struct Follower {
    messages: Arc<Mutex<Vec<Message>>>,
    task: JoinHandle<()>,
}

impl Follower {
    /// Follows once there is a stream.
    pub async fn start(nats: &Nats) -> Self {
        let context = jetstream::new(nats.client().await);
        let stream = until("a stream", async || context.get_stream("cqc_events").await.ok()).await;
        let consumer = stream.create_consumer(OrderedConfig::default()).await.unwrap();
        let mut received = consumer.messages().await.unwrap();
        let messages = Arc::<Mutex<Vec<Message>>>::default();
        let kept = messages.clone();
        let task = tokio::spawn(async move {
            while let Some(message) = received.next().await {
                kept.lock().unwrap().push(message.unwrap());
            }
        });
        Self { messages, task }
    }

    /// How many messages arrived.
    pub fn count(&self) -> usize {
        self.messages.lock().unwrap().len()
    }

    /// What arrived.
    pub fn messages(&self) -> Vec<Message> {
        self.messages.lock().unwrap().clone()
    }

    /// The places in the log of what arrived: `<revision>.<index>.<part>`.
    pub fn places(&self) -> Vec<String> {
        self.messages().iter().map(|message| header(message, "ce-id")).collect()
    }

    /// Waits until each of these events arrived, and says that each arrived once and in order.
    pub async fn received(&self, log: &[Event]) {
        until("every event on the bus", async || (self.count() >= log.len()).then_some(())).await;
        let expected: Vec<_> = log.iter().map(|event| format!("{}.{}.0", event.revision, event.index)).collect();
        assert_eq!(self.places(), expected);
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A header of a message.
pub fn header(message: &Message, name: &str) -> String {
    let value = message.headers.as_ref().and_then(|headers| headers.get(name));
    value.unwrap_or_else(|| panic!("no header {name}")).to_string()
}
